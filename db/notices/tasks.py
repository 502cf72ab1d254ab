"""Whom events of tasks and comments concern, and their notifications."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from core.comment import Comment
from core.comment_notices import newly_mentioned
from core.events import AnyCommentEvent, AnyTaskEvent, CommentAdded
from core.notice_words import SERIES
from core.notices import NoticeKind
from db.notices.notify import Collecting, Notice, notify
from db.transaction import Reading, Writing

__all__ = ["add_assigned", "add_commented"]


async def add_assigned(
    tx: Writing,
    user_id: UUID,
    event: AnyTaskEvent,
    event_id: str,
    *,
    by_series: bool = False,
    now: datetime,
    collecting: Collecting,
) -> bool:
    """Notify a user that the event gave them its task; False as `notify`. For a transaction of the worker's role.

    What a series has made is its own doing, in whosever name it acts.
    """
    notice = _notice(event, event_id)
    if by_series:
        notice = structs.replace(notice, actor_id=None, data={**notice.data, "by": SERIES})
    return await notify(tx, user_id, "task.assigned", notice, now=now, collecting=collecting)


async def add_commented(
    tx: Writing, event: AnyCommentEvent, event_id: str, *, now: datetime, collecting: Collecting
) -> bool:
    """Notify those whom the event mentions, and, of a new comment, the task's assignee and earlier commenters.

    Nobody is notified twice of one comment, of their own, or of one in a team that they have left. False when there was
    nobody to notify, or the comment is gone. For a transaction of the worker's role.
    """
    kinds = await _kinds(tx, event)
    if not kinds or not await tx.fetchval(_IS_THERE, event.team_id, event.comment.id):
        return False
    # Two events of one comment may be at hand at once, one of them tried again: neither would see whom the other tells.
    await tx.alone(str(event.comment.id))
    told = await tx.fetch(_TOLD, list(kinds), event.team_id, str(event.comment.id))
    for row in told:
        del kinds[row["user_id"]]
    notice = _notice(event, event_id)
    # All in one order: whoever tells of another comment on the task at this moment takes the same waiting mails.
    told_now = [await notify(tx, one, kinds[one], notice, now=now, collecting=collecting) for one in sorted(kinds)]
    return any(told_now)


async def _kinds(tx: Reading, event: AnyCommentEvent) -> dict[UUID, NoticeKind]:
    """Whom the event concerns, and why: a mention is the stronger reason."""
    kinds: dict[UUID, NoticeKind] = {}
    if isinstance(event, CommentAdded):
        if event.task.assignee_id is not None:
            kinds[event.task.assignee_id] = "comment.added"
        kinds |= dict.fromkeys(await _earlier(tx, event.team_id, event.comment), "comment.added")
    kinds |= dict.fromkeys(newly_mentioned(event), "comment.mentioned")
    kinds.pop(event.actor_id, None)
    return kinds


async def _earlier(tx: Reading, team_id: UUID, comment: Comment) -> Sequence[UUID]:
    """The authors of the comments on the same task that were written before."""
    found = await tx.fetch(_AUTHORS, team_id, comment.task_id, comment.created_at, comment.id)
    return [row["author_id"] for row in found]


def _notice(event: AnyTaskEvent | AnyCommentEvent, event_id: str) -> Notice:
    task, data = event.task, {"key": event.task.key, "title": event.task.title}
    return Notice(
        team_id=event.team_id,
        event_id=event_id,
        subject_id=task.id,
        at=event.at,
        data=data | ({"comment_id": event.comment.id} if isinstance(event, AnyCommentEvent) else {}),
        task_id=task.id,
        actor_id=event.actor_id,
    )


_IS_THERE: Final = "select exists (select from comments where team_id = $1 and id = $2)"
_AUTHORS: Final = """
select distinct author_id from comments where team_id = $1 and task_id = $2 and created_at <= $3 and id <> $4
"""
# Each of the users has few notifications, which their key finds.
_TOLD: Final = """
select distinct user_id from notifications
where user_id = any($1::uuid[]) and team_id = $2 and data ->> 'comment_id' = $3
"""
