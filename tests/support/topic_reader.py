"""An independent reader: plain aiokafka, as a data team would write it; nothing of ours but the topics' names."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord

EVENTS = "taskforge.task-events.v1"
TASKS = "taskforge.tasks.v1"

Events = dict[str, list[dict[str, Any]]]
"""By team."""


@asynccontextmanager
async def reading(bootstrap: str, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read_until(
    consumer: AIOKafkaConsumer, enough: Callable[[list[ConsumerRecord]], bool], seconds: float = 30.0
) -> list[ConsumerRecord]:
    """Everything up to the moment when it is enough."""
    records: list[ConsumerRecord] = []
    with anyio.fail_after(seconds):
        while not enough(records):
            for found in (await consumer.getmany(timeout_ms=100)).values():
                records += found
    return records


async def read_count(bootstrap: str, topic: str, count: int, seconds: float = 30.0) -> list[ConsumerRecord]:
    """The topic's first records; waits until there are as many as `count`."""
    async with reading(bootstrap, topic) as consumer:
        return await read_until(consumer, lambda records: len(records) >= count, seconds)


async def read_all(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Every record that the topic has now."""
    async with reading(bootstrap, topic) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        return await read_until(consumer, lambda records: len(records) >= sum(ends.values()))


async def read_teams(bootstrap: str, wanted: Mapping[str, int], seconds: float = 60.0) -> Events:
    """The events of each team in the order of the topic, until every wanted team has reached its `seq`."""
    events: Events = defaultdict(list)
    async with reading(bootstrap, EVENTS) as consumer:
        with anyio.fail_after(seconds):
            while any(not events[team] or events[team][-1]["seq"] < seq for team, seq in wanted.items()):
                for found in (await consumer.getmany(timeout_ms=100)).values():
                    sort_in(events, found)
    return events


def sort_in(events: Events, records: Iterable[ConsumerRecord]) -> None:
    """Each record's key is its team."""
    for record in records:
        event = json.loads(record.value)
        assert record.key.decode() == event["teamid"]
        events[event["teamid"]].append(event)


def seqs_by_team(records: Iterable[ConsumerRecord]) -> dict[str, list[int]]:
    """In the order in which they came."""
    events: Events = defaultdict(list)
    sort_in(events, records)
    return {team: [event["seq"] for event in found] for team, found in events.items()}
