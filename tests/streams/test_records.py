"""What one event puts into the topics."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import structs

from core.codec import encode, parse_event_id
from core.events import AnyEvent, Member, MemberAdded, TaskCreated
from core.task import Task
from core.upcasts import STEPS
from streams.cloud_events import cloud_event
from streams.relay.records import neighbours, records_of
from tests.support.journal_writer import NOW, SALT, SOMEBODY, a_task, created, deleted, updated
from tests.support.topic_reader import EVENTS, TASKS

TEAM = UUID(int=3)
TASK = a_task(TEAM)
OTHER = a_task(TEAM, 2, version=7)
LIFE = "5f0c1e2a3b4d5e6f"
JOINED = Member(user_id=SOMEBODY, role="member", name="Ada", joined_at=NOW)


@pytest.mark.parametrize(
    ("event", "topics"),
    [
        (created(TASK, 7), [EVENTS, TASKS]),
        (updated(TASK, 7, title="before"), [EVENTS, TASKS]),
        (updated(TASK, 7, ranks={OTHER.id: "a5"}), [EVENTS, TASKS, TASKS]),
        (deleted(TASK, 7), [EVENTS, TASKS]),
        (MemberAdded(team_id=TEAM, seq=7, actor_id=SOMEBODY, at=NOW, member=JOINED), [EVENTS]),
    ],
    ids=["created", "updated", "spread", "deleted", "member"],
)
def test_an_event_reaches_its_topics_under_its_id(event: AnyEvent, topics: list[str]) -> None:
    row = encode(event, salt=SALT, epoch=2).row
    records = records_of(row, {OTHER.id: OTHER}, LIFE)
    assert [record.topic for record in records] == topics
    assert records[0].value == cloud_event(row)
    for record in records:
        headers = dict(record.headers)
        assert parse_event_id(headers["event_id"].decode()) == (TEAM, 2, 7)
        assert headers["tf-incarnation"] == LIFE.encode()
    assert records_of(row, {OTHER.id: OTHER}, LIFE, known=True) == records[1:]
    assert neighbours([row]) == ({(TEAM, OTHER.id)} if len(topics) == 3 else set())


def test_a_deleted_task_ends_with_a_tombstone_whatever_its_event_still_says() -> None:
    row = encode(deleted(TASK, 7), salt=SALT).row
    for one in (row, structs.replace(row, payload=b'{"id":1}')):
        assert records_of(one, {}, LIFE)[-1].value is None


def test_the_state_of_a_task_has_todays_shape_however_old_its_event_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event itself stays as it was written, and goes on saying so."""

    def with_title(data: dict[str, Any]) -> dict[str, Any]:
        task = dict(data["task"])
        return {**data, "task": {**task, "title": task.pop("name")}}

    row = encode(created(TASK, 7), salt=SALT).row
    older = structs.replace(row, payload=row.payload.replace(b'"title":', b'"name":'))
    monkeypatch.setattr(TaskCreated, "schema_version", 2)
    monkeypatch.setitem(STEPS, ("task.created", 1), with_title)
    event, state = records_of(older, {}, LIFE)
    assert event.value == cloud_event(older)
    assert b'"dataschema":"urn:taskforge:schema:task.created:1"' in cloud_event(older)
    assert b'"name":' in cloud_event(older)
    assert state.value is not None
    assert msgspec.json.decode(state.value, type=Task) == structs.replace(TASK, version=7)


def test_what_a_newer_program_wrote_is_passed_on_as_it_is() -> None:
    row = structs.replace(encode(created(TASK, 7), salt=SALT).row, schema_version=2)
    event, state = records_of(row, {}, LIFE)
    assert b'"dataschema":"urn:taskforge:schema:task.created:2"' in (event.value or b"")
    assert (state.value or b"?") in row.payload


def test_an_event_of_an_unknown_type_is_passed_on_and_changes_no_task() -> None:
    row = structs.replace(encode(created(TASK, 7), salt=SALT).row, type="task.exploded")
    assert [record.topic for record in records_of(row, {}, LIFE)] == [EVENTS]


def test_an_event_is_one_record_in_structured_mode_with_no_header_of_the_binary_one() -> None:
    row = encode(created(TASK, 7), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", salt=SALT).row
    headers = dict(records_of(row, {}, LIFE)[0].headers)
    assert headers == {
        "event_id": f"{TEAM}:1:7".encode(),
        "content-type": b"application/cloudevents+json",
        "tf-incarnation": LIFE.encode(),
        "traceparent": row.traceparent.encode(),
    }
