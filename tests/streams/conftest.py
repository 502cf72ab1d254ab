"""What the tests of relay and consumers share: a journal to write, a broker to read, a relay to run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import asyncpg
import pytest
from msgspec import structs

from db.pool import Pools
from db.settings import DatabaseSettings
from streams.kafka.monitor import BrokerMonitor
from streams.relay.relay import Relay
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from taskforge.settings import Settings
from tests.conftest import name_of
from tests.support.journal_writer import JournalWriter
from tests.support.site import settings_for


@pytest.fixture
async def journal(services: DevStack, database: DatabaseSettings) -> AsyncIterator[JournalWriter]:
    """Writes as a superuser into the test's database."""
    name = name_of(database)
    pool = await asyncpg.create_pool(services.postgres.url_of(name), min_size=0, max_size=20)
    try:
        yield JournalWriter(pool)
    finally:
        pool.terminate()


@pytest.fixture
def kafka(kafka_bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_bootstrap)


@pytest.fixture
def settings(database: DatabaseSettings, kafka: KafkaSettings, valkey_url: str) -> Settings:
    """What a process over the services of the test is given."""
    return structs.replace(settings_for(database, valkey_url), kafka=kafka)


@asynccontextmanager
async def relaying(
    pools: Pools, kafka: KafkaSettings, *, kill: bool = False
) -> AsyncIterator[tuple[Relay, BrokerMonitor]]:
    """A relay with its monitor, stopped in order, or cut off wherever it is."""
    monitor = BrokerMonitor(kafka)
    relay = Relay(pools.worker, kafka, monitor)
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
