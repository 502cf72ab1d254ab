"""Topics that the last release filled, and its database beside them: a worker of today goes on, without a seam."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec import structs

from db.settings import DatabaseSettings
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from tests.fixtures.foundation.reading import json_of, lines_of
from tests.fixtures.foundation.restoring import opened
from tests.support.databases import superuser_url
from tests.support.site import settings_for
from tests.support.topic_reader import EVENTS, TASKS, read_all, seqs_by_team
from tests.support.waiting import until
from tests.support.working import handled, working

pytestmark = pytest.mark.anyio

RECORDS: Final = lines_of("topic.jsonl")
PARTITIONS: Final = {
    EVENTS: 6,
    TASKS: 6,
    "taskforge.notifications.retry.v1": 5,
    "taskforge.notifications.dlq.v1": 1,
    "taskforge.relay.v1": 1,
}
HEADS: Final = {team_id: json.loads(board)["seq"] for team_id, board in json_of("boards.json").items()}
NOT_RELAYED: Final = 2
# The rows that a notification may stem from: ids got the epoch of their event since.
EVENT_ID: Final = re.compile(r"([0-9a-f-]{36}):(?:1:)?([0-9]+)")


@pytest.fixture
async def foundation(services: DevStack, template_database: str) -> AsyncIterator[DatabaseSettings]:
    async with opened(services, "foundation_topic") as settings:
        yield settings


@pytest.fixture
async def filled(kafka: KafkaSettings) -> KafkaSettings:
    """A broker with the topics of the last release, every record at its partition and offset."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, count, 1) for topic, count in PARTITIONS.items()])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all")
    await producer.start()
    try:
        for record in RECORDS:
            await fill(producer, record)
    finally:
        await producer.stop()
    return kafka


async def fill(producer: AIOKafkaProducer, record: Any) -> None:
    written = await producer.send_and_wait(
        record["topic"],
        None if record["value"] is None else record["value"].encode(),
        key=record["key"].encode(),
        partition=record["partition"],
        headers=[(name, value.encode()) for name, value in record["headers"]],
    )
    assert written.offset == record["offset"]


async def notified(superuser: str) -> list[tuple[str, str, str]]:
    """Who was notified of which event, and how."""
    connection = await asyncpg.connect(superuser)
    try:
        rows = await connection.fetch("select user_id::text, event_id, kind from notifications order by id")
    finally:
        await connection.close()
    return [(row[0], EVENT_ID.sub(r"\1:\2", row[1]), row[2]) for row in rows]


async def test_a_worker_relays_what_was_left_and_repeats_nothing(
    services: DevStack, foundation: DatabaseSettings, filled: KafkaSettings, valkey_url: str
) -> None:
    superuser = superuser_url(services, foundation)
    before = await notified(superuser)
    settings = structs.replace(settings_for(foundation, valkey_url), kafka=filled)
    async with working(settings) as worker:
        # Its consumer group is new to this broker, so that it is given every event of the past once more.
        await until(lambda: handled(worker) == sum(HEADS.values()))

    records = await read_all(filled.bootstrap_servers, EVENTS)
    assert seqs_by_team(records) == {team_id: list(range(1, head + 1)) for team_id, head in HEADS.items()}
    after = await notified(superuser)
    assert len(after) == len(before) + 1, "the last event left behind assigns a task"
    assert after[: len(before)] == before

    found = await read_all(filled.bootstrap_servers, TASKS)
    assert len(found) == len([record for record in RECORDS if record["topic"] == TASKS]) + NOT_RELAYED
    assert last_values(found) == answered_tasks() | dict.fromkeys(deleted_tasks())


def last_values(records: list[ConsumerRecord]) -> dict[str, Any]:
    """What the compacted topic says of each task."""
    return {record.key.decode(): None if record.value is None else json.loads(record.value) for record in records}


def answered_tasks() -> dict[str, Any]:
    bodies = [json.loads(answer["body"]) for answer in json_of("state.json") if answer["path"].startswith("/v1/tasks/")]
    return {task["id"]: task for task in bodies}


def deleted_tasks() -> set[str]:
    events = [json.loads(record["value"]) for record in RECORDS if record["topic"] == EVENTS]
    return {event["subject"] for event in events if event["type"] == "task.deleted"}
