"""A relay of the outbox under test, what is written for it, and what it has sent."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
from aiokafka import ConsumerRecord

from db import outbox
from db.outbox import MAIL, Topic, put
from db.pool import Pools
from db.transaction import writing
from streams.kafka.monitor import BrokerMonitor
from streams.relay.outbox import OutboxRelay
from streams.settings import KafkaSettings

__all__ = ["ids_by_key", "moving", "waiting", "written"]


@asynccontextmanager
async def moving(pools: Pools, kafka: KafkaSettings, *, kill: bool = False) -> AsyncIterator[OutboxRelay]:
    """A relay of the outbox with its monitor, stopped in order, or cut off wherever it is."""
    monitor = BrokerMonitor(kafka)
    relay = OutboxRelay(pools.worker, kafka, monitor)
    async with anyio.create_task_group() as background:
        await background.start(monitor.run)
        async with anyio.create_task_group() as group:
            await group.start(relay.run)
            try:
                yield relay
            finally:
                relay.stop()
                if kill:
                    group.cancel_scope.cancel()
        background.cancel_scope.cancel()


async def written(pools: Pools, subjects: Sequence[UUID], topic: Topic = MAIL, *, discard: bool = False) -> list[str]:
    """One row per subject, each with a cause of its own."""
    ids = []
    for subject in subjects:
        async with writing(pools.api) as tx:
            ids.append(str(await put(tx, topic, "verify-email", subject, discard=discard)))
    return ids


async def waiting(pools: Pools) -> int:
    return (await outbox.backlog(pools.worker)).waiting


def ids_by_key(records: Sequence[ConsumerRecord]) -> dict[str, list[str]]:
    """In the order in which they came."""
    ids: dict[str, list[str]] = {}
    for record in records:
        ids.setdefault(record.key.decode(), []).append(json.loads(record.value)["id"])
    return ids
