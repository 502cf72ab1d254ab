"""The real application on a real port, once per module, with people in it."""

from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from db.settings import DatabaseSettings, ObjectSettings
from taskforge.devstack import DevStack
from tests.support.desk import Desk
from tests.support.leaks import leak_free
from tests.support.site import Site, serving, settings_for

OUTLIVING = {"desk", "site"}
RUNNING: list[Site] = []
"""The module's worker, while there is one: its tasks come and go beside tests that do not ask for it, too."""


@pytest.fixture(scope="module")
async def site(services: DevStack, module_database: DatabaseSettings) -> AsyncIterator[Site]:
    """An API worker; each test makes people and teams of its own."""
    await services.valkey.start()
    settings = structs.replace(
        settings_for(module_database, services.valkey.url), objects=ObjectSettings(url="memory:")
    )
    async with leak_free(), serving(settings) as running:
        RUNNING.append(running)
        yield running
        RUNNING.remove(running)


@pytest.fixture
async def own_site(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Site]:
    """An API worker for one test, which counts all its feeds or ends them."""
    async with serving(settings_for(database, valkey_url)) as running:
        yield running


@pytest.fixture(scope="module")
async def desk(site: Site) -> Desk:
    """A team with an owner, an admin, a member and a viewer, and a stranger, before the worker of the module."""
    return await Desk.open(site)


@pytest.fixture(autouse=True)
def guarded(request: pytest.FixtureRequest) -> None:
    """As everywhere, except with the module's worker, whose tasks come and go: it leaks nothing by the module's end."""
    asynchronous = request.node.get_closest_marker("anyio") is not None and "anyio_backend" in request.fixturenames
    if asynchronous and not RUNNING and not OUTLIVING & set(request.fixturenames):
        request.getfixturevalue("no_leaks")
