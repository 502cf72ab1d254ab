"""A relay under test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from db.pool import Pools
from streams.kafka.monitor import BrokerMonitor
from streams.relay.relay import Relay
from streams.settings import KafkaSettings


@asynccontextmanager
async def relaying(
    pools: Pools, kafka: KafkaSettings, *, kill: bool = False
) -> AsyncIterator[tuple[Relay, BrokerMonitor]]:
    """A relay with its monitor, stopped in order, or cut off wherever it is."""
    monitor = BrokerMonitor(kafka)
    relay = Relay(pools.worker, kafka, monitor, pools.writer)
    async with anyio.create_task_group() as background:
        await background.start(monitor.run)
        async with anyio.create_task_group() as group:
            await group.start(relay.run)
            try:
                yield relay, monitor
            finally:
                relay.stop()
                if kill:
                    group.cancel_scope.cancel()
        background.cancel_scope.cancel()
