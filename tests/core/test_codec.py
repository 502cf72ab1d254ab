"""Bytes are a pure function of the journal row, and a row comes back as the event it was."""

import json
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from msgspec import structs

from core.codec import JournalRow, cloud_event, decode, encode, parse_cloud_event, reread
from core.commands import (
    ArchiveTask,
    ChangeRole,
    DeleteLabel,
    DeleteTask,
    MoveTask,
    RemoveMember,
    RestoreTask,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.events import EVENT_TYPES, LabelEvent, MemberEvent, TaskEvent, TeamUpdated
from core.task import Task, TaskPatch
from tests.core.world import ADMIN, MEMBER, TEAM, VIEWER, World

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def history() -> World:
    """A team in whose life every type of event happened, with text that is hard to carry."""
    world = World()
    label = world.label('quotes " and \\ back')
    due = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    task = world.task("Ünïcødé 🚀 </script>", description="a\n\tb\u2028\x7f", due_at=due, estimate=0.1)
    other = world.task("Other", label_ids=(label,), parent_id=task.id, external_id="1", external_source="x")
    world.ask(UpdateTask(task.id, TaskPatch(due_at=None, assignee_id=MEMBER, estimate=1e-7)))
    world.ask(UpdateLabel(label_id=label, name="renamed"))
    world.ask(ChangeRole(VIEWER, "admin"))
    world.ask(UpdateTeam(name="N", wip_limits={"done": 3}))
    for turn in range(120):  # Until the gap is too narrow and an event carries `ranks`.
        world.ask(MoveTask(task_id=(task, other)[turn % 2].id, before_id=(other, task)[turn % 2].id))
        world.task(f"Filler {turn}") if turn == 0 else None
    world.ask(DeleteLabel(label))
    world.ask(ArchiveTask(task.id))
    world.ask(RestoreTask(task.id))
    world.ask(RemoveMember(ADMIN))
    world.ask(DeleteTask(task.id))
    return world


def test_the_history_under_test_has_every_type_of_event(history: World) -> None:
    assert {encoded.row.type for encoded in history.journal} == set(EVENT_TYPES)


def test_an_event_read_back_is_the_same_to_the_byte(history: World) -> None:
    for encoded in history.journal:
        again = reread(encoded.row)
        assert cloud_event(again.row) == cloud_event(encoded.row)
        assert again.task == encoded.task
        assert encode(again.event).row.payload == encoded.row.payload
        assert type(again.event) is type(encoded.event)


def test_a_cloud_event_gives_its_journal_row_back(history: World) -> None:
    for encoded in history.journal:
        traced = encode(encoded.event, TRACE)
        for one in (encoded, traced):
            body = cloud_event(one.row)
            assert parse_cloud_event(body) == one.row
            assert cloud_event(parse_cloud_event(body)) == body


def test_the_envelope_is_what_the_contract_says(history: World) -> None:
    encoded = encode(next(one.event for one in history.journal if one.row.type == "task.updated"), TRACE)
    body = json.loads(cloud_event(encoded.row))
    data = body.pop("data")
    assert body == {
        "specversion": "1.0",
        "id": f"{TEAM}:{encoded.row.seq}",
        "source": f"/v1/teams/{TEAM}",
        "type": "task.updated",
        "subject": str(encoded.row.subject),
        "time": encoded.row.at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": "/schemas/task.updated.v1.json",
        "teamid": str(TEAM),
        "seq": encoded.row.seq,
        "actor": str(encoded.row.actor_id),
        "traceparent": TRACE,
    }
    assert set(data) == {"task", "previous"}
    assert set(data["task"]) == set(Task.__struct_fields__)
    assert set(data["previous"]) == {"due_at", "assignee_id", "estimate"}


def test_an_untraced_event_has_no_trace_field(history: World) -> None:
    assert b"traceparent" not in cloud_event(history.journal[0].row)


def test_the_task_bytes_are_those_inside_the_event(history: World) -> None:
    for encoded in history.journal:
        if isinstance(encoded.event, TaskEvent):
            assert encoded.task is not None
            assert encoded.task in cloud_event(encoded.row)
            assert msgspec.json.decode(encoded.task, type=Task) == encoded.event.task
        else:
            assert encoded.task is None


def test_a_row_of_an_unknown_type_or_shape_is_refused(history: World) -> None:
    row = history.journal[0].row
    with pytest.raises(KeyError):
        decode(structs.replace(row, type="team.exploded"))
    with pytest.raises(msgspec.ValidationError):
        decode(structs.replace(row, payload=b'{"team":{"id":1}}'))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"teamid":"x"}', b'{"specversion":"1.0"}'])
def test_other_bytes_are_not_taken_for_an_event(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        parse_cloud_event(body)


def test_the_families_cover_every_type_once() -> None:
    families = [
        {name for name, event in EVENT_TYPES.items() if issubclass(event, family)}
        for family in (TaskEvent, MemberEvent, LabelEvent, TeamUpdated)
    ]
    assert sum(map(len, families)) == len(EVENT_TYPES)
    assert set().union(*families) == set(EVENT_TYPES)


def test_the_time_of_a_row_keeps_its_microseconds() -> None:
    row = JournalRow(
        TEAM, 1, "team.updated", TEAM, UUID(int=2), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "", b"{}"
    )
    assert b'"time":"2026-01-01T00:00:00.000001Z"' in cloud_event(row)
