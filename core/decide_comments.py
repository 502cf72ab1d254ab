"""The comment commands of `decide`: what they make of a comment, and of the task that it hangs on."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import structs

from core.commands import AddComment, Asking, CommentCommand, DeleteComment, EditComment, Versions
from core.comment import Comment
from core.errors import FieldConflict, Forbidden, NotFound, StaleVersion
from core.events import AnyCommentEvent, CommentAdded, CommentDeleted, CommentEdited
from core.mentions import resolve, with_names
from core.permissions import check_right
from core.preconditions import missed_version, on_board
from core.rights import DELETE_TASKS
from core.task import Task
from core.team import TeamState

__all__ = ["change_comments"]


def change_comments(state: TeamState, command: CommentCommand, asking: Asking) -> list[AnyCommentEvent]:
    """One event, or none for an edit that leaves the text as it is."""
    if isinstance(command, AddComment):
        return [_add(state, command, asking)]
    comment = state.comments.get(command.comment_id)
    if comment is None:
        raise NotFound("comment")
    if isinstance(command, EditComment):
        return _edit(state, comment, command, asking)
    return [_delete(state, comment, command, asking)]


def _add(state: TeamState, command: AddComment, asking: Asking) -> CommentAdded:
    task, now = on_board(state.task(command.task_id)), asking.now
    body, mentions = resolve(command.body, _names(state))
    comment = Comment(
        id=asking.new_id(),
        task_id=task.id,
        author_id=asking.actor_id,
        body=body,
        mentions=mentions,
        created_at=now,
        updated_at=now,
        version=state.seq + 1,
    )
    return CommentAdded(comment=comment, **_with_task(state, task, asking, counted=1))


def _edit(state: TeamState, comment: Comment, command: EditComment, asking: Asking) -> list[AnyCommentEvent]:
    task = _task_of(state, comment)
    if comment.author_id != asking.actor_id:
        raise Forbidden("write_tasks", "Only its author may edit a comment.")
    _check_version(state, comment, command.if_match, {"body": command.body})
    body, mentions = resolve(command.body, _names(state), before=comment.mentions)
    changed = {"body": body, "mentions": mentions}
    previous = {name: old for name in changed if (old := getattr(comment, name)) != changed[name]}
    if not previous:
        return []
    after = structs.replace(comment, **changed, updated_at=asking.now, version=state.seq + 1)
    return [CommentEdited(comment=after, previous=previous, **_with_task(state, task, asking, counted=0))]


def _delete(state: TeamState, comment: Comment, command: DeleteComment, asking: Asking) -> CommentDeleted:
    task = _task_of(state, comment)
    if comment.author_id != asking.actor_id:
        check_right(state.role_of(asking.actor_id), asking.principal, DELETE_TASKS)
    _check_version(state, comment, command.if_match, {})
    left = structs.replace(comment, body="", mentions=(), updated_at=asking.now, version=state.seq + 1)
    return CommentDeleted(comment=left, **_with_task(state, task, asking, counted=-1))


def _task_of(state: TeamState, comment: Comment) -> Task:
    """The task of a comment that exists; where it is not on the board it is archived, and need not be loaded."""
    return on_board(state.tasks.get(comment.task_id))


def _with_task(state: TeamState, task: Task, asking: Asking, *, counted: int) -> dict[str, Any]:
    """What an event about a comment begins with, and the task with one comment more or less."""
    seq = state.seq + 1
    count = max(0, task.comment_count + counted)
    after = structs.replace(task, comment_count=count, updated_at=asking.now, version=seq)
    return {"team_id": task.team_id, "seq": seq, "actor_id": asking.actor_id, "at": asking.now, "task": after}


def _check_version(state: TeamState, comment: Comment, if_match: Versions | None, yours: Mapping[str, str]) -> None:
    """Raise StaleVersion, which says what stands there now: nobody needs the journal to explain it."""
    missed = missed_version(state, comment.version, if_match)
    if missed is None:
        return
    epoch, version = missed
    stale = StaleVersion(
        comment.task_id, version, comment.version, {}, {}, epoch=state.epoch, expected_epoch=epoch, what="comment"
    )
    theirs = with_names(comment.body, comment.mentions, _names(state))
    stale.base_known = False
    stale.conflicts = tuple(FieldConflict(name, None, theirs, value) for name, value in yours.items())
    raise stale


def _names(state: TeamState) -> dict[UUID, str]:
    return {user_id: member.name for user_id, member in state.members.items()}
