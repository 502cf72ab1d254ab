"""Bytes are a pure function of the journal row, and a row comes back as the event it was."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from msgspec import structs

from core.codec import (
    JournalRow,
    cloud_event,
    decode,
    encode,
    event_id,
    parse_cloud_event,
    parse_event_id,
    reread,
)
from core.commands import (
    ArchiveTask,
    ChangeRole,
    DeleteLabel,
    DeleteTask,
    MoveTask,
    RemoveMember,
    RenameMember,
    RestoreTask,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.events import EVENT_TYPES, LabelEvent, MemberEvent, TaskEvent, TeamUpdated
from core.task import Task, TaskPatch
from tests.support.core_team import ADMIN, MEMBER, SALT, TEAM, VIEWER, CoreTeam

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def history() -> CoreTeam:
    """A team in whose life every type of event happened, with text that is hard to carry."""
    team = CoreTeam()
    label = team.label('quotes " and \\ back')
    due = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    task = team.task("Ünïcødé 🚀 </script>", description="a\n\tb\u2028\x7f", due_at=due, estimate=0.1)
    other = team.task("Other", label_ids=(label,), parent_id=task.id, external_id="1", external_source="x")
    team.ask(UpdateTask(task.id, TaskPatch(due_at=None, assignee_id=MEMBER, estimate=1e-7)))
    team.ask(UpdateLabel(label_id=label, name="renamed"))
    team.ask(RenameMember("Vera \u2028"), VIEWER)
    team.ask(ChangeRole(VIEWER, "admin"))
    team.ask(UpdateTeam(name="N", wip_limits={"done": 3}))
    for turn in range(120):  # Until the gap is too narrow and an event carries `ranks`.
        team.ask(MoveTask(task_id=(task, other)[turn % 2].id, before_id=(other, task)[turn % 2].id))
        team.task(f"Filler {turn}") if turn == 0 else None
    team.ask(DeleteLabel(label))
    team.ask(ArchiveTask(task.id))
    team.ask(RestoreTask(task.id))
    team.ask(RemoveMember(ADMIN))
    team.ask(DeleteTask(task.id))
    return team


def test_the_history_under_test_has_every_type_of_event(history: CoreTeam) -> None:
    assert {encoded.row.type for encoded in history.journal} == set(EVENT_TYPES)


def test_an_event_read_back_is_the_same_to_the_byte(history: CoreTeam) -> None:
    for encoded in history.journal:
        again = reread(encoded.row)
        assert cloud_event(again.row) == cloud_event(encoded.row)
        assert again.task == encoded.task
        assert encode(again.event, salt=SALT).row.payload == encoded.row.payload
        assert type(again.event) is type(encoded.event)


def test_a_cloud_event_gives_its_journal_row_back(history: CoreTeam) -> None:
    for encoded in history.journal:
        traced = encode(encoded.event, TRACE, salt=SALT)
        for one in (encoded, traced):
            body = cloud_event(one.row)
            assert parse_cloud_event(body) == one.row
            assert cloud_event(parse_cloud_event(body)) == body


def test_the_envelope_is_what_the_contract_says(history: CoreTeam) -> None:
    encoded = encode(next(one.event for one in history.journal if one.row.type == "task.updated"), TRACE, salt=SALT)
    body = json.loads(cloud_event(encoded.row))
    data = body.pop("data")
    assert body == {
        "specversion": "1.0",
        "id": f"{TEAM}:1:{encoded.row.seq}",
        "source": f"/v1/teams/{TEAM}",
        "type": "task.updated",
        "subject": str(encoded.row.subject),
        "time": encoded.row.at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": "urn:taskforge:schema:task.updated:1",
        "teamid": str(TEAM),
        "seq": encoded.row.seq,
        "epoch": 1,
        "actor": str(encoded.row.actor_id),
        "actorkind": "user",
        "traceparent": TRACE,
        "salt": base64.b64encode(SALT).decode(),
    }
    assert set(data) == {"task", "previous"}
    assert set(data["task"]) == set(Task.__struct_fields__)
    assert set(data["previous"]) == {"due_at", "assignee_id", "estimate"}


def test_an_untraced_event_has_no_trace_field(history: CoreTeam) -> None:
    assert b"traceparent" not in cloud_event(history.journal[0].row)


def test_the_task_bytes_are_those_inside_the_event(history: CoreTeam) -> None:
    for encoded in history.journal:
        if isinstance(encoded.event, TaskEvent):
            assert encoded.task is not None
            assert encoded.task in cloud_event(encoded.row)
            assert msgspec.json.decode(encoded.task, type=Task) == encoded.event.task
        else:
            assert encoded.task is None


def test_the_epoch_the_kind_of_actor_and_the_key_are_part_of_the_envelope(history: CoreTeam) -> None:
    encoded = encode(history.journal[0].event, salt=SALT, epoch=3, actor_kind="key", via=UUID(int=5))
    body = json.loads(cloud_event(encoded.row))
    assert (body["id"], body["epoch"]) == (f"{TEAM}:3:1", 3)
    assert (body["actorkind"], body["via"]) == ("key", str(UUID(int=5)))
    assert parse_cloud_event(cloud_event(encoded.row)) == encoded.row


def test_the_digest_is_of_salt_and_payload(history: CoreTeam) -> None:
    for encoded in history.journal:
        assert encoded.row.salt == SALT
        assert encoded.row.digest == hashlib.sha256(SALT + encoded.row.payload).digest()


def test_a_row_without_its_salt_has_neither_salt_nor_digest_in_its_envelope(history: CoreTeam) -> None:
    redacted = structs.replace(history.journal[0].row, salt=b"", payload=b'{"redacted":true}')
    body = cloud_event(redacted)
    assert b'"salt"' not in body
    assert parse_cloud_event(body) == structs.replace(redacted, digest=b"")


def test_a_cloud_event_of_before_the_epochs_is_of_the_first_one(history: CoreTeam) -> None:
    row = history.journal[0].row
    older = json.loads(cloud_event(row))
    for name in ("epoch", "actorkind", "salt"):
        del older[name]
    older["id"], older["dataschema"] = f"{TEAM}:1", "/schemas/team.updated.v1.json"
    assert parse_cloud_event(msgspec.json.encode(older)) == structs.replace(row, salt=b"", digest=b"")


def test_rows_travel_between_releases(history: CoreTeam) -> None:
    """In arrays over Valkey: what the other release does not send has its default, what it sends more is ignored."""
    decode_row = msgspec.msgpack.Decoder(JournalRow).decode
    for encoded in history.journal:
        row = structs.replace(encoded.row, epoch=2)
        fields = list(structs.astuple(row))
        assert decode_row(msgspec.msgpack.encode(row)) == row
        assert decode_row(msgspec.msgpack.encode([*fields, "of tomorrow"])) == row
        older = decode_row(msgspec.msgpack.encode(fields[:8]))
        assert older == JournalRow(*fields[:8])
        assert (older.epoch, older.actor_kind, older.via, older.salt) == (1, "user", None, b"")


def test_attributes_that_this_version_does_not_know_are_ignored(history: CoreTeam) -> None:
    for encoded in history.journal:
        data = msgspec.json.decode(encoded.row.payload)
        for thing in (data, *(data[name] for name in ("task", "member", "label", "team") if name in data)):
            thing["of_tomorrow"] = {"a": [1]}
        assert decode(structs.replace(encoded.row, payload=msgspec.json.encode(data))) == decode(encoded.row)


@pytest.mark.parametrize(
    ("text", "epoch", "seq"), [(f"{TEAM}:7", 1, 7), (f"{TEAM}:1:7", 1, 7), (f"{TEAM}:12:70000000000", 12, 70000000000)]
)
def test_event_ids_of_both_forms_are_read(text: str, epoch: int, seq: int) -> None:
    assert parse_event_id(text) == (TEAM, epoch, seq)


@pytest.mark.parametrize(
    "text", ["", "1:2", f"{TEAM}", f"{TEAM}:", f"{TEAM}:1:", f"{TEAM}:1:2:3", f"{TEAM}:-1", f"{TEAM}:²"]
)
def test_other_text_is_not_taken_for_an_event_id(text: str) -> None:
    with pytest.raises(ValueError, match="not an event id"):
        parse_event_id(text)


def test_a_row_names_its_event(history: CoreTeam) -> None:
    row = structs.replace(history.journal[4].row, epoch=9)
    assert parse_event_id(event_id(row)) == (TEAM, 9, row.seq)


def test_a_row_of_an_unknown_type_or_shape_is_refused(history: CoreTeam) -> None:
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
