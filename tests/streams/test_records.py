"""What one event puts into the topics."""

from uuid import UUID

import pytest
from msgspec import structs

from core.codec import encode, parse_event_id
from core.events import AnyEvent, Member, MemberAdded
from streams.cloud_events import cloud_event
from streams.relay.records import neighbours, records_of
from tests.support.journal_writer import NOW, SALT, SOMEBODY, a_task, created, deleted, updated
from tests.support.topic_reader import EVENTS, TASKS

TEAM = UUID(int=3)
TASK = a_task(TEAM)
OTHER = a_task(TEAM, 2, version=7)
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
    records = records_of(row, {OTHER.id: OTHER})
    assert [record.topic for record in records] == topics
    assert records[0].value == cloud_event(row)
    for record in records:
        assert parse_event_id(dict(record.headers)["event_id"].decode()) == (TEAM, 2, 7)
    assert records_of(row, {OTHER.id: OTHER}, known=True) == records[1:]
    assert neighbours([row]) == ({(TEAM, OTHER.id)} if len(topics) == 3 else set())


def test_a_deleted_task_ends_with_a_tombstone_whatever_its_event_still_says() -> None:
    row = encode(deleted(TASK, 7), salt=SALT).row
    for one in (row, structs.replace(row, payload=b'{"id":1}')):
        assert records_of(one, {})[-1].value is None


def test_an_event_of_an_unknown_type_is_passed_on_and_changes_no_task() -> None:
    row = structs.replace(encode(created(TASK, 7), salt=SALT).row, type="task.exploded")
    assert [record.topic for record in records_of(row, {})] == [EVENTS]
