"""Consumers under test: one runner over the real broker, and a producer that writes its topic by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from core.codec import JournalRow
from streams.cloud_events import cloud_event
from streams.consumers.plan import ConsumerPlan
from streams.consumers.runner import ConsumerRunner
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.topics import TASK_EVENTS, event_headers, team_key
from streams.settings import KafkaSettings
from tests.support.topic_reader import read_all
from tests.support.waiting import until, until_answered


@asynccontextmanager
async def consuming(plan: ConsumerPlan, kafka: KafkaSettings) -> AsyncIterator[ConsumerRunner]:
    """The consumer, ready and later stopped in order."""
    monitor = BrokerMonitor(kafka, [plan.name])
    runner = ConsumerRunner(plan, kafka, monitor)
    async with anyio.create_task_group() as background:
        await background.start(monitor.run)
        async with anyio.create_task_group() as group:
            await group.start(runner.run)
            try:
                await until(lambda: runner.statistics().ready)
                yield runner
            finally:
                runner.stop()
        background.cancel_scope.cancel()


@asynccontextmanager
async def producing(kafka: KafkaSettings, *, largest: int = 1024 * 1024) -> AsyncIterator[AIOKafkaProducer]:
    """A stranger's producer, which sends requests of at most so many bytes."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all", max_request_size=largest)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def publish(producer: AIOKafkaProducer, row: JournalRow) -> None:
    """The event as the relay publishes it."""
    headers = event_headers(row, "one")
    await producer.send_and_wait(TASK_EVENTS, cloud_event(row), key=team_key(row.team_id), headers=headers)


async def caught_up(kafka: KafkaSettings, group: str, topic: str, seconds: float) -> None:
    """Come back once the group has committed offsets behind every record that the topic has now."""
    ends: dict[TopicPartition, int] = {}
    for record in await read_all(kafka.bootstrap_servers, topic):
        place = TopicPartition(topic, record.partition)
        ends[place] = max(ends.get(place, 0), record.offset + 1)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(ends))

        async def there() -> bool:
            return all([(await consumer.committed(place) or 0) >= end for place, end in ends.items()])

        await until_answered(there, seconds)
    finally:
        await consumer.stop()
