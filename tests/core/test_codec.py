"""An event becomes a journal row, and a row comes back as the event it was."""

import hashlib

import msgspec
import pytest
from msgspec import structs

from core.codec import JournalRow, decode, encode, event_id, parse_event_id, reread
from core.events import (
    EVENT_TYPES,
    ColumnEvent,
    HistoryRedacted,
    LabelEvent,
    MemberEvent,
    TaskDeleted,
    TaskEvent,
    TeamDeleted,
    TeamRestored,
    TeamUpdated,
)
from core.task import Task
from core.upcasts import UnknownEvent
from tests.support.core_team import SALT, TEAM, CoreTeam, every_event


@pytest.fixture(scope="module")
def history() -> CoreTeam:
    return every_event(ended=True)


def test_the_history_under_test_has_every_type_of_event(history: CoreTeam) -> None:
    assert {encoded.row.type for encoded in history.journal} == set(EVENT_TYPES)


def test_an_event_read_back_is_the_same_to_the_byte(history: CoreTeam) -> None:
    for encoded in history.journal:
        again = reread(encoded.row)
        assert again.row == encoded.row
        assert again.task == encoded.task
        assert encode(again.event, salt=SALT).row.payload == encoded.row.payload
        assert type(again.event) is type(encoded.event)


def test_the_task_bytes_are_those_inside_the_event(history: CoreTeam) -> None:
    for encoded in history.journal:
        if isinstance(encoded.event, TaskEvent):
            assert encoded.task is not None
            assert encoded.task in encoded.row.payload
            assert msgspec.json.decode(encoded.task, type=Task) == encoded.event.task
        else:
            assert encoded.task is None


def test_the_digest_is_of_salt_and_payload(history: CoreTeam) -> None:
    for encoded in history.journal:
        assert encoded.row.salt == SALT
        assert encoded.row.digest == hashlib.sha256(SALT + encoded.row.payload).digest()


def test_rows_travel_between_releases(history: CoreTeam) -> None:
    """In arrays over Valkey: what the other release does not send has its default, what it sends more is ignored."""
    decode_row = msgspec.msgpack.Decoder(JournalRow).decode
    for encoded in history.journal:
        row = structs.replace(encoded.row, epoch=2, schema_version=3)
        fields = list(structs.astuple(row))
        assert decode_row(msgspec.msgpack.encode(row)) == row
        assert decode_row(msgspec.msgpack.encode([*fields, "of tomorrow"])) == row
        older = decode_row(msgspec.msgpack.encode(fields[:8]))
        assert older == JournalRow(*fields[:8])
        assert (older.epoch, older.schema_version, older.actor_kind, older.via, older.salt) == (1, 1, "user", None, b"")


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


def test_a_row_of_an_unknown_type_version_or_shape_is_refused(history: CoreTeam) -> None:
    row = history.journal[0].row
    with pytest.raises(UnknownEvent, match=r"^team\.exploded of version 2 is not known here$"):
        decode(structs.replace(row, type="team.exploded"))
    with pytest.raises(UnknownEvent, match=r"^team\.updated of version 3 is not known here$"):
        decode(structs.replace(row, schema_version=3))
    with pytest.raises(msgspec.ValidationError):
        decode(structs.replace(row, payload=b'{"team":{"id":1}}'))


def test_the_families_cover_every_type_once() -> None:
    families = [
        {name for name, event in EVENT_TYPES.items() if issubclass(event, family)}
        for family in (
            TaskEvent,
            TaskDeleted,
            MemberEvent,
            LabelEvent,
            ColumnEvent,
            TeamUpdated,
            TeamDeleted,
            TeamRestored,
            HistoryRedacted,
        )
    ]
    assert sum(map(len, families)) == len(EVENT_TYPES)
    assert set().union(*families) == set(EVENT_TYPES)
