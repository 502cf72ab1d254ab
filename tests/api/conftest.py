"""The real application on a real port, once per module, with people in it."""

from collections.abc import AsyncIterator

import pytest

from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support.desk import Desk
from tests.support.site import serving, settings_for


@pytest.fixture(scope="module")
async def desk(services: DevStack, module_database: DatabaseSettings) -> AsyncIterator[Desk]:
    """An API worker with a team that has an owner, an admin, a member and a viewer, and a stranger."""
    await services.valkey.start()
    async with serving(settings_for(module_database, services.valkey.url)) as site:
        yield await Desk.open(site)


@pytest.fixture(autouse=True)
def guarded(request: pytest.FixtureRequest) -> None:
    """As everywhere, except behind a desk: its application outlives the test, and its servants come and go."""
    asynchronous = request.node.get_closest_marker("anyio") is not None and "anyio_backend" in request.fixturenames
    if asynchronous and "desk" not in request.fixturenames:
        request.getfixturevalue("no_leaks")
