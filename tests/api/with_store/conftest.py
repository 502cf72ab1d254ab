"""A site with an object store in a folder, and the hands of a worker that moves its operations."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from msgspec import structs

from db.settings import DatabaseSettings, ObjectSettings
from taskforge.devstack import DevStack
from tests.support.databases import superuser_url
from tests.support.desk import Desk
from tests.support.leaks import leak_free
from tests.support.long_work import Hands
from tests.support.site import Site, serving, settings_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="module")
async def site(services: DevStack, module_database: DatabaseSettings, folder: Path) -> AsyncIterator[Site]:
    """An API worker with an object store."""
    await services.valkey.start()
    settings = settings_for(module_database, services.valkey.url)
    settings = structs.replace(settings, objects=ObjectSettings(url=folder.as_uri()))
    async with leak_free(), serving(settings) as running:
        yield running


@pytest.fixture(scope="module")
async def desk(site: Site) -> AsyncIterator[Desk]:
    opened = await Desk.open(site)
    yield opened
    await opened.app.stop()  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def guarded() -> None:
    """The module's worker outlives each test, and its tasks with it."""


@pytest.fixture
def hands(site: Site, folder: Path) -> Hands:
    return Hands(site, folder)


@pytest.fixture
async def superuser(services: DevStack, module_database: DatabaseSettings) -> AsyncIterator["asyncpg.Connection"]:
    connection = await asyncpg.connect(superuser_url(services, module_database))
    yield connection
    await connection.close()
