"""Files of tasks: who may add and delete them, how they are counted, how many there may be, what is forgotten."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from core.codec import decode, encode
from core.commands import ArchiveTask, DeleteAttachment, DeleteTask
from core.errors import Conflict, Forbidden, NotFound, QuotaReached
from core.events import AttachmentAdded, AttachmentDeleted
from core.redaction import redacted
from core.writes import RowChanges, rows_of_events
from tests.support.core_team import MEMBER, MISSING, SALT, STRANGER, VIEWER, CoreTeam, an_attachment


@pytest.fixture
def team() -> CoreTeam:
    return CoreTeam()


def test_a_file_raises_the_version_and_count_of_its_task(team: CoreTeam) -> None:
    task = team.task()
    (event,) = team.ask(an_attachment(task.id, MISSING, 7), MEMBER)
    assert isinstance(event, AttachmentAdded)
    after = team.now_at(task.id)
    assert (after.attachment_count, after.version, after.updated_at) == (1, event.seq, event.at)
    assert (event.subject, event.thing_id, event.task, event.previous) == (
        task.id,
        MISSING,
        after,
        {"attachment_count": 0},
    )
    file = event.attachment
    assert (file.task_id, file.size, file.created_by, file.created_at) == (task.id, 7, MEMBER, event.at)
    (event,) = team.ask(DeleteAttachment(MISSING), MEMBER)
    assert isinstance(event, AttachmentDeleted)
    assert event.attachment == file
    assert (team.now_at(task.id).attachment_count, event.previous) == (0, {"attachment_count": 1})


def test_only_who_may_write_tasks_adds_and_deletes(team: CoreTeam) -> None:
    file = team.attach(team.task().id)
    for actor, error in ((VIEWER, Forbidden), (STRANGER, NotFound)):
        with pytest.raises(error):
            team.attach(file.task_id, actor)
        with pytest.raises(error):
            team.ask(DeleteAttachment(file.id), actor)


def test_what_is_not_there_is_not_found(team: CoreTeam) -> None:
    for command in (an_attachment(MISSING, team.new_id()), DeleteAttachment(MISSING)):
        with pytest.raises(NotFound):
            team.ask(command)


def test_an_archived_task_keeps_the_files_it_has(team: CoreTeam) -> None:
    file = team.attach(team.task().id)
    team.ask(ArchiveTask(file.task_id))
    for command in (an_attachment(file.task_id, team.new_id()), DeleteAttachment(file.id)):
        with pytest.raises(Conflict) as refused:
            team.ask(command)
        assert refused.value.reason == "archived"


def test_a_file_is_attached_once_even_within_a_batch(team: CoreTeam) -> None:
    file = team.attach(team.task().id)
    with pytest.raises(Conflict) as refused:
        team.ask(an_attachment(file.task_id, file.id))
    assert refused.value.reason == "already-attached"
    draft, _ = team.decide(an_attachment(file.task_id, MISSING))
    team.state = draft
    with pytest.raises(Conflict):
        team.ask(an_attachment(file.task_id, MISSING))


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        ({"attachments_per_task": 2}, "attachments-per-task"),
        ({"attachments_per_team": 3}, "attachments-per-team"),
        ({"attachment_bytes_per_team": 31}, "attachment-bytes-per-team"),
    ],
)
def test_there_are_limits_that_free_themselves(team: CoreTeam, limits: dict[str, int], quota: str) -> None:
    other = team.attach(team.task().id, size=8)
    task = team.task()
    file = team.attach(task.id, size=8)
    team.attach(task.id, size=8)
    team.quotas = structs.replace(team.quotas, **limits)
    with pytest.raises(QuotaReached) as refused:
        team.attach(task.id, size=8)
    assert (refused.value.quota, refused.value.limit) == (quota, next(iter(limits.values())))
    team.ask(DeleteAttachment(file.id) if quota == "attachments-per-task" else DeleteTask(other.task_id))
    team.attach(task.id, size=8)


def test_bytes_read_back_are_the_event(team: CoreTeam) -> None:
    (event,) = team.ask(an_attachment(team.task().id, MISSING, name='a "b" ü.txt'))
    row = encode(event, salt=SALT).row
    assert decode(row) == event
    data = msgspec.json.decode(row.payload)
    assert list(data) == ["attachment", "previous", "task_id", "version", "counts", "task"]


def test_what_is_forgotten_with_a_task(team: CoreTeam) -> None:
    file = team.attach(team.task("Secret").id, name="secret.txt")
    other = team.attach(team.task("Other").id)
    row = team.journal[-3].row
    left = redacted(row.type, row.payload, {file.task_id})
    assert left is not None
    assert b"ecret" not in left
    data: Any = msgspec.json.decode(left)
    assert (data["attachment"]["name"], data["task"]["title"]) == ("Deleted file", "Deleted task")
    assert (data["attachment"]["id"], data["previous"]) == (str(file.id), {"attachment_count": 0})
    assert decode(structs.replace(row, payload=left)).seq == row.seq
    assert redacted(row.type, row.payload, {other.task_id}) is None


def test_rows_are_those_of_files_and_not_of_their_tasks(team: CoreTeam) -> None:
    task = team.task()
    one, two = team.attach(task.id), team.attach(task.id)
    team.ask(DeleteAttachment(one.id))
    rows = rows_of_events(team.journal[-3:], team.state.columns)
    assert rows == {"attachment": RowChanges((two,), (one.id,))}
