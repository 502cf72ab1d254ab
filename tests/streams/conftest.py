"""What the tests of relay and consumers share: a journal to write, a broker to read, a relay to run."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from msgspec import structs

from db.settings import DatabaseSettings
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from taskforge.settings import Settings
from tests.support.apache_kafka import kafka_settings
from tests.support.databases import superuser_url
from tests.support.journal_writer import JournalWriter
from tests.support.site import settings_for


@pytest.fixture
async def journal(services: DevStack, database: DatabaseSettings) -> AsyncIterator[JournalWriter]:
    """Writes as a superuser into the test's database."""
    pool = await asyncpg.create_pool(superuser_url(services, database), min_size=0, max_size=20)
    try:
        yield JournalWriter(pool)
    finally:
        pool.terminate()


@pytest.fixture
def kafka(kafka_bootstrap: str) -> KafkaSettings:
    return kafka_settings(kafka_bootstrap)


@pytest.fixture
def settings(database: DatabaseSettings, kafka: KafkaSettings, valkey_url: str) -> Settings:
    """What a process over the services of the test is given."""
    return structs.replace(settings_for(database, valkey_url), kafka=kafka)
