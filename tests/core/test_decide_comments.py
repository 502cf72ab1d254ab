"""Comments as a team decides them: who may, what becomes of the task, and what an event says."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.codec import JournalRow, decode, encode
from core.commands import (
    AddComment,
    AnyCommand,
    ArchiveTask,
    Asking,
    DeleteComment,
    DeleteTask,
    EditComment,
    RemoveMember,
    Seen,
    UpdateTask,
)
from core.decide import decide
from core.errors import Conflict, DomainError, Forbidden, NotFound, StaleVersion
from core.events import AnyEvent, CommentAdded, CommentDeleted, CommentEdited
from core.field_error import FieldError
from core.principal import Principal
from core.redaction import DELETED_TASK, redacted
from core.task import TaskPatch
from core.writes import rows_of_events
from tests.support.core_team import ADMIN, MEMBER, MISSING, OWNER, SALT, STRANGER, VIEWER, CoreTeam


@pytest.fixture
def team() -> CoreTeam:
    return CoreTeam()


def only(events: list[AnyEvent]) -> Any:
    (event,) = events
    return event


def refused(team: CoreTeam, kind: type[DomainError], command: AnyCommand, actor: UUID = OWNER) -> Any:
    """The refusal, which leaves everything as it was."""
    before = team.state.seq
    with pytest.raises(kind) as error:
        team.ask(command, actor)
    assert team.state.seq == before
    return error.value


def test_a_comment_counts_on_its_task_and_raises_its_version(team: CoreTeam) -> None:
    task = team.task()
    event = only(team.ask(AddComment(task.id, "Is it @Admin dry?"), MEMBER))
    assert isinstance(event, CommentAdded)
    comment, after = event.comment, team.now_at(task.id)
    assert (comment.body, comment.mentions) == (f"Is it <@{ADMIN}> dry?", (ADMIN,))
    assert (comment.task_id, comment.author_id) == (task.id, MEMBER)
    assert comment.version == after.version == team.state.seq == event.seq
    assert (after.comment_count, after.updated_at) == (1, comment.created_at)
    assert after == event.task
    assert (event.subject, event.thing_id) == (task.id, comment.id)


def test_an_edit_says_what_was_there_and_keeps_the_count(team: CoreTeam) -> None:
    task = team.task()
    comment = team.comment(task.id, "@Admin, is it dry?", MEMBER)
    event = only(team.ask(EditComment(comment.id, "@Viewer, is it dry?"), MEMBER))
    assert isinstance(event, CommentEdited)
    assert event.previous == {"body": comment.body, "mentions": (ADMIN,)}
    assert event.comment.mentions == (VIEWER,)
    assert (event.comment.created_at, event.comment.author_id) == (comment.created_at, MEMBER)
    assert event.comment.updated_at > comment.updated_at
    assert team.now_at(task.id).comment_count == 1
    assert team.now_at(task.id).version == event.seq


def test_an_edit_to_the_same_text_is_no_event(team: CoreTeam) -> None:
    comment = team.comment(team.task().id, "@Admin")
    assert team.ask(EditComment(comment.id, "@admin")) == []


def test_a_deleted_comment_leaves_no_text_in_its_last_event(team: CoreTeam) -> None:
    task = team.task()
    comment = team.comment(task.id, "a secret for @Admin", MEMBER)
    event = only(team.ask(DeleteComment(comment.id), MEMBER))
    assert isinstance(event, CommentDeleted)
    assert (event.comment.body, event.comment.mentions, event.previous) == ("", (), {})
    assert event.comment.author_id == MEMBER
    assert team.now_at(task.id).comment_count == 0
    refused(team, NotFound, EditComment(comment.id, "again"), MEMBER)


def test_only_the_author_edits_and_an_admin_may_delete(team: CoreTeam) -> None:
    comment = team.comment(team.task().id, "mine", MEMBER)
    for actor in (OWNER, ADMIN):
        refused(team, Forbidden, EditComment(comment.id, "theirs"), actor)
    other = team.comment(team.task().id, "an admin's", ADMIN)
    assert refused(team, Forbidden, DeleteComment(other.id), MEMBER).permission == "delete_tasks"
    team.ask(DeleteComment(comment.id), ADMIN)


def test_a_key_needs_the_scope_admin_to_delete_what_others_have_said(team: CoreTeam) -> None:
    own, others = team.comment(team.task().id, "own", OWNER), team.comment(team.task().id, "theirs", MEMBER)
    draft = team.state.fork()
    draft.comments = {own.id: own, others.id: others}
    asking = Asking(Principal.of_key(MISSING, OWNER, ["write"]), team.now, team.new_id)
    assert decide(draft, DeleteComment(own.id), asking)
    with pytest.raises(Forbidden, match="scope admin"):
        decide(draft, DeleteComment(others.id), asking)


def test_viewers_and_strangers_say_nothing(team: CoreTeam) -> None:
    task = team.task()
    refused(team, Forbidden, AddComment(task.id, "so"), VIEWER)
    assert refused(team, NotFound, AddComment(task.id, "so"), STRANGER).what == "team"


def test_what_is_archived_is_not_talked_about(team: CoreTeam) -> None:
    task = team.task()
    comment = team.comment(task.id)
    team.ask(ArchiveTask(task.id))
    for command in (AddComment(task.id, "so"), EditComment(comment.id, "so"), DeleteComment(comment.id)):
        assert refused(team, Conflict, command).reason == "archived"


def test_what_is_not_there_is_not_found(team: CoreTeam) -> None:
    assert refused(team, NotFound, AddComment(MISSING, "so")).what == "task"
    assert refused(team, NotFound, EditComment(MISSING, "so")).what == "comment"
    assert refused(team, NotFound, DeleteComment(MISSING)).what == "comment"


@pytest.mark.parametrize("blank", [" \n\t", "a\0b", "é" * 40_000])
def test_a_comment_has_something_to_see_and_fits_into_64_kib(blank: str) -> None:
    for make in (lambda: AddComment(MISSING, blank), lambda: EditComment(MISSING, blank)):
        with pytest.raises(FieldError) as error:
            make()
        assert error.value.field == "body"


def test_if_match_is_about_the_comment_and_not_its_task(team: CoreTeam) -> None:
    task = team.task()
    comment = team.comment(task.id, "@Admin one")
    team.ask(UpdateTask(task.id, TaskPatch(title="Another")))
    team.ask(EditComment(comment.id, "@Admin two", comment.version))
    stale = refused(team, StaleVersion, EditComment(comment.id, "three", Seen(comment.version, 1)))
    assert (stale.current, stale.detail) == (
        team.state.seq,
        f"The comment is at version {team.state.seq}, not {comment.version}.",
    )
    (conflict,) = stale.conflicts
    assert (conflict.field, conflict.theirs, conflict.yours) == ("body", "@Admin two", "three")
    assert refused(team, StaleVersion, DeleteComment(comment.id, ())).conflicts == ()
    team.ask(DeleteComment(comment.id, (comment.version, team.state.seq)))


def test_somebody_who_left_stays_mentioned_and_is_not_mentioned_anew(team: CoreTeam) -> None:
    comment = team.comment(team.task().id, "@Admin")
    team.ask(RemoveMember(ADMIN))
    event = only(team.ask(EditComment(comment.id, f"<@{ADMIN}> was here, @Admin")))
    assert event.comment.mentions == (ADMIN,)
    assert event.comment.body == f"<@{ADMIN}> was here, @Admin"


def test_the_data_has_what_readers_of_the_topic_need(team: CoreTeam) -> None:
    task = team.task()
    event = only(team.ask(AddComment(task.id, "so"), MEMBER))
    encoded = encode(event, salt=SALT)
    data = msgspec.json.decode(encoded.row.payload)
    assert list(data) == ["comment", "previous", "task_id", "version", "counts", "task"]
    assert (data["task_id"], data["version"]) == (str(task.id), event.seq)
    assert data["counts"] == {"comments": 1, "attachments": 0}
    assert data["task"] == msgspec.json.decode(encoded.task or b"")
    assert encoded.row.subject == task.id
    assert decode(encoded.row) == event


def texts_left(row: JournalRow, *subjects: UUID) -> dict[str, Any]:
    payload = redacted(row.type, row.payload, subjects)
    assert payload is not None
    left: dict[str, Any] = msgspec.json.decode(payload)
    return left


def test_a_deleted_task_takes_the_text_of_its_comments_along(team: CoreTeam) -> None:
    task = team.task("A secret", description="too")
    comment = team.comment(task.id, "a secret for @Admin")
    team.ask(EditComment(comment.id, "another"))
    edited = team.journal[-1].row
    team.ask(DeleteTask(task.id))
    left = texts_left(edited, task.id)
    assert (left["task"]["title"], left["task"]["description"]) == (DELETED_TASK, "")
    assert (left["comment"]["body"], left["previous"]) == ("", {"body": "", "mentions": []})
    assert left["counts"] == {"comments": 1, "attachments": 0}
    refused(team, NotFound, EditComment(comment.id, "again"))


def test_a_deleted_comment_takes_its_own_text_along_and_leaves_its_task(team: CoreTeam) -> None:
    task = team.task("A title")
    comment = team.comment(task.id, "a secret")
    row = team.journal[-1].row
    assert redacted(row.type, row.payload, [MISSING, MEMBER]) is None
    left = texts_left(row, comment.id)
    assert (left["task"]["title"], left["comment"]["body"]) == ("A title", "")


def test_a_batch_that_deletes_the_task_writes_none_of_its_comments(team: CoreTeam) -> None:
    task, other = team.task(), team.task()
    said = team.comment(other.id)
    team.comment(task.id)
    team.ask(DeleteTask(task.id))
    changes = rows_of_events(team.journal[-3:], team.state.columns)
    assert [comment.id for comment in changes["comment"].kept] == [said.id]
    assert changes["comment"].gone == ()
