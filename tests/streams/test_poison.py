"""Poison: whatever lies in a topic, its partition goes on, and the record is kept with its cause."""

import json
from typing import Any

import pytest
import uuid_utils.compat as uuids
from aiokafka import ConsumerRecord
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion

from core.codec import JournalRow, encode
from core.task import Task
from db.pool import Pools
from streams.cloud_events import cloud_event
from streams.consumers import retries
from streams.consumers.notifications import notifications
from streams.consumers.plan import ConsumerPlan, Handled
from streams.consumers.retries import ATTEMPTS, CUT, ERROR, ERROR_CLASS, NOT_BEFORE, OFFSET, TOPIC
from streams.kafka.broker import administrating
from streams.kafka.topics import LARGEST_RECORD, TASK_EVENTS, dlq_topic, event_headers, team_key
from streams.settings import KafkaSettings
from tests.support.consuming import consuming, producing
from tests.support.journal_writer import SALT, JournalWriter, a_task, created
from tests.support.topic_reader import read_count
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NAME = "notifications"
"""A raw record: value, and headers beside its event id."""
Raw = tuple[bytes | None, list[tuple[str, bytes]]]


def headers_of(record: ConsumerRecord) -> dict[str, Any]:
    return dict(record.headers)


async def published(kafka: KafkaSettings, key: bytes, *records: Raw) -> None:
    """All of one key, hence of one partition, and in this order."""
    async with producing(kafka, largest=4 * LARGEST_RECORD) as producer:
        for value, headers in records:
            await producer.send_and_wait(TASK_EVENTS, value, key=key, headers=headers)


def row_of(task: Task, seq: int) -> JournalRow:
    return encode(created(task, seq), salt=SALT).row


def as_published(row: JournalRow) -> Raw:
    return cloud_event(row), event_headers(row, "one")


def altered(row: JournalRow, **fields: Any) -> Raw:
    event = {**json.loads(cloud_event(row)), **fields}
    return json.dumps(event).encode(), event_headers(row, "one")


async def test_records_that_nobody_can_read_are_kept_and_hold_up_nobody(
    pools: Pools, kafka: KafkaSettings, journal: JournalWriter
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    good = row_of(a_task(team_id, assignee_id=ann), 1)
    poison: list[Raw] = [
        (b"\xff\xfe\x00not json", []),
        (b"", []),
        (None, []),
        (b'{"specversion":"1.0"}', [("event_id", b"\xff\xfe")]),
        (b"[" * 100_000, []),
        (b"null", [(NOT_BEFORE, b"9" * 4_000)]),
        (b"null", [(NOT_BEFORE, str(4_000_000_000_000).encode())]),
        (b"null", [("empty", None), ("taskforge-attempts", b"99999999999999999999999999")]),  # type: ignore[list-item]
        altered(good, data="a task should be here"),
    ]
    unknown = altered(good, type="task.exploded", dataschema="urn:taskforge:schema:task.exploded:1", seq=99)
    async with consuming(notifications(pools.worker), kafka) as runner:
        await published(kafka, team_key(team_id), *poison, unknown, as_published(good))
        await until(lambda: runner.statistics().applied == 1)
        statistics = runner.statistics()
    assert (statistics.dead, statistics.passed, statistics.retried) == (len(poison), 1, 0)
    dead = await read_count(kafka.bootstrap_servers, dlq_topic(NAME), len(poison))
    assert [record.value or b"" for record in dead] == [value or b"" for value, _ in poison]
    assert {headers_of(record)[TOPIC] for record in dead} == {TASK_EVENTS.encode()}
    assert [int(headers_of(record)[OFFSET]) for record in dead] == [*range(len(poison))]
    assert all(headers_of(record)[ERROR] and headers_of(record)[ERROR_CLASS] for record in dead)


@pytest.mark.parametrize(("size", "whole"), [(LARGEST_RECORD - 300, True), (5 * 1024 * 1024, False)])
async def test_a_record_too_large_to_be_sent_on_is_kept_by_name_at_least(
    pools: Pools, kafka: KafkaSettings, journal: JournalWriter, size: int, whole: bool
) -> None:
    """With the headers of its failure it was larger than what the broker takes, and its partition stood still."""
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    good = row_of(a_task(team_id, assignee_id=ann), 1)
    async with consuming(notifications(pools.worker), kafka) as runner:
        await let_topic_take(kafka, TASK_EVENTS, 8 * 1024 * 1024)
        await published(kafka, team_key(team_id), (b"x" * size, [("event_id", b"large")]), as_published(good))
        await until(lambda: runner.statistics().applied == 1)
        assert runner.statistics().dead == 1
    (dead,) = await read_count(kafka.bootstrap_servers, dlq_topic(NAME), 1)
    headers = headers_of(dead)
    assert headers["event_id"] == b"large"
    assert len(dead.value or b"") == (size if whole else 0)
    assert headers.get(CUT) == (None if whole else str(size).encode())
    assert headers[ERROR].startswith(b"not a CloudEvent")


async def let_topic_take(kafka: KafkaSettings, topic: str, size: int) -> None:
    """As somebody may have set it for a topic of theirs; the embedded broker takes what it is given anyway."""
    async with administrating(kafka) as admin:
        try:
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})]
            )
        except IncompatibleBrokerVersion:
            assert not kafka.idempotent, "Apache Kafka can"


async def test_a_record_whose_handler_always_raises_goes_through_all_delays_while_others_are_handled(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "DELAYS", (0.05, 0.1, 0.15, 0.2, 0.25))
    seen: list[int] = []

    async def handle(_: str, row: JournalRow) -> Handled:
        seen.append(row.seq)
        if row.seq == 1:
            raise ZeroDivisionError("always")
        return "applied"

    team_id = uuids.uuid7()
    rows = [row_of(a_task(team_id, seq), seq) for seq in range(1, 21)]
    async with consuming(ConsumerPlan("stubborn", TASK_EVENTS, handle), kafka) as runner:
        await published(kafka, team_key(team_id), *map(as_published, rows))
        await until(lambda: runner.statistics().dead == 1)
        await until(lambda: runner.statistics().applied == 19)
        assert runner.statistics().retried == 5
    assert [seq for seq in seen if seq != 1] == [*range(2, 21)], "the others go on in their order"
    assert seen.count(1) == 6
    (dead,) = await read_count(kafka.bootstrap_servers, dlq_topic("stubborn"), 1)
    headers = headers_of(dead)
    assert (headers[ERROR_CLASS], headers[ERROR], headers[ATTEMPTS]) == (b"ZeroDivisionError", b"always", b"6")
    assert dead.value == cloud_event(rows[0])
