"""The bytes of a CloudEvent are a pure function of the journal row, and give it back."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from msgspec import structs

from core.codec import JournalRow, encode
from core.task import Task
from streams.cloud_events import cloud_event, parse_cloud_event
from tests.support.core_team import SALT, TEAM, CoreTeam, every_event

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def history() -> CoreTeam:
    return every_event(ended=True)


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


def test_the_epoch_the_kind_of_actor_and_the_key_are_part_of_the_envelope(history: CoreTeam) -> None:
    encoded = encode(history.journal[0].event, salt=SALT, epoch=3, actor_kind="key", via=UUID(int=5))
    body = json.loads(cloud_event(encoded.row))
    assert (body["id"], body["epoch"]) == (f"{TEAM}:3:1", 3)
    assert (body["actorkind"], body["via"]) == ("key", str(UUID(int=5)))
    assert parse_cloud_event(cloud_event(encoded.row)) == encoded.row


def test_a_row_without_its_salt_carries_its_digest_in_the_place_of_it(history: CoreTeam) -> None:
    """So that whoever reads it can go on with the chain of a checkpoint, which is over what was written."""
    row = history.journal[0].row
    assert b'"digest"' not in cloud_event(row)
    redacted = structs.replace(row, salt=b"", payload=b'{"redacted":true}')
    body = cloud_event(redacted)
    assert b'"salt"' not in body
    assert parse_cloud_event(body) == redacted


def test_a_redacted_event_of_before_it_carried_its_digest_has_none(history: CoreTeam) -> None:
    redacted = structs.replace(history.journal[0].row, salt=b"", digest=b"")
    assert parse_cloud_event(cloud_event(redacted)) == redacted


def test_a_cloud_event_of_before_the_epochs_is_of_the_first_one(history: CoreTeam) -> None:
    row = history.journal[0].row
    older = json.loads(cloud_event(row))
    for name in ("epoch", "actorkind", "salt"):
        del older[name]
    older["id"], older["dataschema"] = f"{TEAM}:1", "/schemas/team.updated.v1.json"
    assert parse_cloud_event(msgspec.json.encode(older)) == structs.replace(row, salt=b"", digest=b"", schema_version=1)


def test_a_cloud_event_keeps_the_version_of_its_data(history: CoreTeam) -> None:
    row = structs.replace(history.journal[0].row, schema_version=12)
    body = cloud_event(row)
    assert json.loads(body)["dataschema"] == "urn:taskforge:schema:team.updated:12"
    assert parse_cloud_event(body) == row


@pytest.mark.parametrize("name", ["", "urn:taskforge:schema:team.updated", "/schemas/team.updated.json", "urn:a:0"])
def test_data_of_no_version_is_not_taken_for_ours(history: CoreTeam, name: str) -> None:
    body = json.loads(cloud_event(history.journal[0].row))
    with pytest.raises(msgspec.ValidationError, match="without a version"):
        parse_cloud_event(json.dumps(body | {"dataschema": name}).encode())


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"teamid":"x"}', b'{"specversion":"1.0"}'])
def test_other_bytes_are_not_taken_for_an_event(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        parse_cloud_event(body)


def test_the_time_of_a_row_keeps_its_microseconds() -> None:
    row = JournalRow(
        TEAM, 1, "team.updated", TEAM, UUID(int=2), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "", b"{}"
    )
    assert b'"time":"2026-01-01T00:00:00.000001Z"' in cloud_event(row)


def test_a_redacted_row_says_so_and_has_no_salt(history: CoreTeam) -> None:
    row = structs.replace(history.journal[-1].row, salt=b"", digest=bytes(32))
    body = json.loads(cloud_event(row))
    assert body["redacted"] is True
    assert "salt" not in body
    assert parse_cloud_event(cloud_event(row)) == row
    assert all(b'"redacted"' not in cloud_event(one.row) for one in history.journal)
