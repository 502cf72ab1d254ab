"""An independent reader: plain aiokafka, as a data team would write it; nothing of ours but the topic's name."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord

EVENTS = "taskforge.task-events.v1"
TASKS = "taskforge.tasks.v1"


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


def seqs_by_team(records: list[ConsumerRecord]) -> dict[str, list[int]]:
    """In the order in which they came."""
    seqs: dict[str, list[int]] = {}
    for record in records:
        event = json.loads(record.value)
        seqs.setdefault(event["teamid"], []).append(event["seq"])
    return seqs
