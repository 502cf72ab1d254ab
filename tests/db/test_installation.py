"""Whether a program may run on a database: at its start, and as long as it runs."""

import asyncio

import asyncpg
import pytest
from msgspec import structs

from core.errors import StorageUnavailable
from core.secret import Secret
from db import installation
from db.installation import FORMAT, WrongFormat, check_database, check_format, until_outdated
from db.pool import Pools
from db.settings import DatabaseSettings

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "CHECK_SECONDS", 0.01)


async def set_format(superuser: asyncpg.Connection, number: int) -> None:
    await superuser.execute("update installation set format = $1", number)


async def test_every_role_may_ask_and_finds_a_database_of_its_own_format(
    pools: Pools, database: DatabaseSettings
) -> None:
    for pool in (pools.api, pools.writer, pools.worker):
        await check_format(pool)
    for url in (database.api_url, database.writer_url, database.worker_url):
        await check_database(url)


async def test_a_program_runs_on_every_format_up_to_its_own_and_on_no_later_one(
    pools: Pools, superuser: asyncpg.Connection
) -> None:
    for number in range(1, FORMAT + 1):
        await set_format(superuser, number)
        await check_format(pools.api)
    await set_format(superuser, FORMAT + 1)
    with pytest.raises(WrongFormat, match=f"format {FORMAT + 1} and this program knows {FORMAT}"):
        await check_format(pools.api)


async def test_a_database_that_was_not_brought_forward_is_refused(pools: Pools, superuser: asyncpg.Connection) -> None:
    for script in ("delete from installation", "drop table installation"):
        await superuser.execute(script)
        with pytest.raises(WrongFormat, match="taskforge migrate"):
            await check_format(pools.worker)


async def test_a_running_program_learns_that_it_is_outdated(pools: Pools, superuser: asyncpg.Connection) -> None:
    watching = asyncio.create_task(until_outdated(pools.worker))
    await asyncio.sleep(0.05)
    assert not watching.done()
    await set_format(superuser, FORMAT + 1)
    async with asyncio.timeout(10):
        assert isinstance(await watching, WrongFormat)


async def test_a_database_that_is_away_says_nothing_about_its_format(
    pools: Pools, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def away(_: object) -> None:
        asked.set()
        raise StorageUnavailable("It is away.")

    monkeypatch.setattr(installation, "_format", away)
    watching = asyncio.create_task(until_outdated(pools.worker))
    await asked.wait()
    asked.clear()
    await asked.wait()
    assert not watching.done()
    monkeypatch.undo()
    await set_format(superuser, FORMAT + 1)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_no_server_is_storage_unavailable(database: DatabaseSettings) -> None:
    with pytest.raises(StorageUnavailable):
        await check_database(structs.replace(database, api_url=Secret("postgresql://nobody@127.0.0.1:9/none")).api_url)
