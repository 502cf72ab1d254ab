"""Fixtures shared by all tests: the real embedded services, fresh databases, and guards against leaks."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import valkey.asyncio
from valkey.asyncio import Valkey

from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from db.valkey import open_valkey
from taskforge.devstack import DevStack, running_devstack
from tests.support import databases, directories
from tests.support.apache_kafka import broker_kind, empty
from tests.support.leaks import leak_free

pytest_plugins = ["tests.support.parallel"]

TEMPLATE = "taskforge_template"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whatever looks at a page is marked `browser`."""
    if "chromium" in getattr(item, "fixturenames", ()):
        item.add_marker("browser")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests (`pytestmark = pytest.mark.anyio`) run on asyncio, all in one event loop per session."""
    return "asyncio"


@pytest.fixture(scope="session")
def services_root() -> Iterator[Path]:
    with directories.services_root() as root:
        yield root


@pytest.fixture
def data_dir(services_root: Path) -> Iterator[Path]:
    """An empty folder for embedded services of one test."""
    with directories.open_directory(services_root) as directory:
        yield directory


@pytest.fixture(scope="session")
def session_data_dir(services_root: Path) -> Iterator[Path]:
    with directories.open_directory(services_root) as directory:
        yield directory


@pytest.fixture(scope="session")
async def services(anyio_backend: str, session_data_dir: Path) -> AsyncIterator[DevStack]:
    """PostgreSQL, Valkey and the Kafka-compatible broker, once per session on free ports.

    `await services.postgres.kill()` is a crash that lasts until `await services.postgres.start()`; a signal sent to
    `services.postgres.pid` is a crash that the supervisor mends.
    """
    async with running_devstack(session_data_dir, default_ports={}, broker=broker_kind()) as running:
        yield running


@pytest.fixture(scope="session")
async def template_database(services: DevStack) -> str:
    """A migrated database that nobody connects to; the others are copies of it."""
    from db.migrate import migrate

    await databases.create(services, TEMPLATE)
    await migrate(services.postgres.url_of(TEMPLATE), passwords=services.secrets.role_passwords)
    return TEMPLATE


@pytest.fixture
async def database(services: DevStack, template_database: str) -> AsyncIterator[DatabaseSettings]:
    """A fresh migrated database for one test."""
    async with databases.copied(services, template_database) as name:
        yield databases.settings_of(services, name)


@pytest.fixture(scope="module")
async def module_database(services: DevStack, template_database: str) -> AsyncIterator[DatabaseSettings]:
    """A fresh migrated database for the tests of one module."""
    async with databases.copied(services, template_database) as name:
        yield databases.settings_of(services, name)


@pytest.fixture
async def pools(database: DatabaseSettings) -> AsyncIterator[Pools]:
    async with open_pools(database) as opened:
        yield opened


@pytest.fixture
async def superuser(services: DevStack, database: DatabaseSettings) -> AsyncIterator["asyncpg.Connection"]:
    """Sees and changes every row: how a test moves time, and looks behind row-level security."""
    connection = await asyncpg.connect(databases.superuser_url(services, database))
    yield connection
    await connection.close()


@pytest.fixture
async def valkey_url(services: DevStack) -> str:
    """The Valkey of the session, emptied before the test."""
    await services.valkey.start()
    client = valkey.asyncio.from_url(services.valkey.url)
    try:
        await client.flushall()
    finally:
        await client.aclose()
    return services.valkey.url


@pytest.fixture
async def valkey_client(valkey_url: str) -> AsyncIterator[Valkey]:
    async with open_valkey(valkey_url) as opened:
        yield opened


@pytest.fixture
async def kafka_bootstrap(services: DevStack) -> str:
    """`host:port` of a broker without topics."""
    await empty(services.kafka)
    return services.kafka.bootstrap_servers


@pytest.fixture(autouse=True)
def guarded(request: pytest.FixtureRequest) -> None:
    """Every async test fails when it leaks a task or leaves an error behind in the event loop."""
    if request.node.get_closest_marker("anyio") is not None and "anyio_backend" in request.fixturenames:
        request.getfixturevalue("no_leaks")


@pytest.fixture
async def no_leaks(anyio_backend: str) -> AsyncIterator[None]:
    async with leak_free():
        yield


@pytest.fixture
def no_taskforge_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without settings of ours, whatever the developer's shell has."""
    for name in [name for name in os.environ if name.startswith("TASKFORGE_")]:
        monkeypatch.delenv(name)
    return monkeypatch
