"""Pools and transactions: which servers are refused, and what a lost server looks like from here."""

import asyncio
from typing import Any

import anyio
import asyncpg
import pytest
import uuid_utils.compat as uu
from msgspec import structs

from core.commands import UpdateTask
from core.errors import StorageUnavailable
from core.secret import Secret
from core.task import TaskPatch
from core.writes import Committed, CommitUnknown
from db.journal.journal import PostgresJournal
from db.pool import Pools, UnsafeServer, open_pools
from db.settings import DatabaseSettings
from db.transaction import Writing, reading, savepoint, transaction, writing
from tests.support.databases import name_of
from tests.support.freezing import family, states
from tests.support.team_writer import Writer, add_user, new_team
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_server_that_may_lose_commits_is_refused(services: Any, database: DatabaseSettings) -> None:
    name = name_of(database)
    session = await asyncpg.connect(services.postgres.url_of(name))
    try:
        await session.execute(f"alter database {name} set synchronous_commit = off")
    finally:
        await session.close()
    with pytest.raises(UnsafeServer, match="synchronous_commit = off"):
        async with open_pools(database):
            pass


async def test_no_server_is_plainly_unavailable(database: DatabaseSettings) -> None:
    nowhere = structs.replace(database, writer_url=Secret("postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(StorageUnavailable) as caught:
        async with open_pools(nowhere):
            pass
    assert "127.0.0.1" not in caught.value.detail


async def test_a_wrong_password_is_unavailable_and_not_shown(database: DatabaseSettings) -> None:
    url = database.writer_url.reveal()
    wrong = Secret(url.replace(url.split(":")[2].partition("@")[0], "not-the-password"))
    with pytest.raises(StorageUnavailable) as caught:
        async with open_pools(structs.replace(database, writer_url=wrong)):
            pass
    assert "password" not in caught.value.detail


async def test_json_is_bytes_both_ways_also_in_arrays(pools: Pools) -> None:
    texts = [b'{"a" : 1,   "a": 2}', b'"\xc3\xbc"', b"[ ]"]
    for pool in (pools.api, pools.writer, pools.worker):
        async with reading(pool, None) as rows:
            assert await rows.fetchval("select $1::json", texts[0]) == texts[0]
            found = await rows.fetch("select j from unnest($1::json[]) as u (j)", texts)
            assert [row[0] for row in found] == texts


async def test_a_reading_transaction_cannot_write(pools: Pools) -> None:
    with pytest.raises(StorageUnavailable):
        async with reading(pools.worker, None) as rows:
            await rows.fetch("insert into inbox (consumer, event_id) values ('c', 'e')")


async def test_a_writing_transaction_keeps_all_or_nothing(pools: Pools) -> None:
    async def fail() -> None:
        async with writing(pools.worker) as rows:
            await rows.execute("insert into inbox (consumer, event_id) values ('c', 'e')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with writing(pools.worker) as rows:
        assert await rows.execute("insert into inbox (consumer, event_id) values ('c', 'e')") == 1
    async with reading(pools.worker, None) as seen:
        assert await seen.fetchval("select count(*) from inbox") == 1


async def test_a_cancelled_transaction_is_rolled_back_and_its_connection_usable(
    pools: Pools, superuser: asyncpg.Connection
) -> None:
    entered = asyncio.Event()

    async def slow() -> None:
        async with writing(pools.worker) as rows:
            await rows.execute("insert into inbox (consumer, event_id) values ('c', 'e')")
            entered.set()
            await rows.execute("select pg_sleep(60)")

    task = asyncio.ensure_future(slow())
    await entered.wait()
    # A request to cancel that overtakes its statement cancels nothing.
    asleep = "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
    async with asyncio.timeout(10):
        while not await superuser.fetch(asleep):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with writing(pools.worker) as rows:
        assert await rows.fetchval("select count(*) from inbox") == 0


async def test_a_transaction_that_is_cancelled_as_it_begins_is_rolled_back(pools: Pools) -> None:
    """BEGIN had reached the server, and the pool found the transaction open and complained."""
    async with pools.worker.acquire() as connection:

        async def begin() -> None:
            async with transaction(connection):
                await anyio.sleep_forever()

        task = asyncio.create_task(begin())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await connection.execute("select 1")
        assert not connection.is_in_transaction()


async def test_a_savepoint_takes_back_its_part_only(pools: Pools) -> None:
    async with writing(pools.worker) as rows:
        await rows.execute("insert into inbox (consumer, event_id) values ('c', '1')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await twice(rows)
        await rows.execute("insert into inbox (consumer, event_id) values ('c', '3')")
    async with reading(pools.worker, None) as rows:
        assert [row[0] for row in await rows.fetch("select event_id from inbox order by 1")] == ["1", "3"]


async def twice(rows: Writing) -> None:
    async with savepoint(rows._connection):
        await rows.execute("insert into inbox (consumer, event_id) values ('c', '2')")
        await rows.execute("insert into inbox (consumer, event_id) values ('c', '1')")


async def test_a_full_pool_is_unavailable_rather_than_a_hang(
    database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.pool.ACQUIRE_SECONDS", 0.05)
    async with (
        open_pools(structs.replace(database, pool_size=1)) as pools,
        reading(pools.api, None),
    ):
        with pytest.raises(StorageUnavailable):
            async with reading(pools.api, None):
                pass


async def test_after_a_crash_of_the_server_the_same_pools_work_again(services: Any, pools: Pools) -> None:
    """The process is not restarted: what is asked meanwhile is refused, what is asked after is answered."""
    journal, owner = PostgresJournal(pools), await add_user(pools)
    writer = await new_team(journal, owner, 1)
    task_id = next(iter(writer.state.tasks.values())).id
    processes = family(services.postgres.pid)
    await services.postgres.kill()
    # Those that serve connections end a moment later, and may answer until then.
    await until(lambda: not any(set(states(pid)) - {"Z", "X"} for pid in processes))
    for _ in range(3):
        with pytest.raises((StorageUnavailable, CommitUnknown)):
            await writer.commit(journal, UpdateTask(task_id, TaskPatch(title=f"{uu.uuid7()}")))
        with pytest.raises(StorageUnavailable):
            await journal.position([writer.team_id])
        with pytest.raises(StorageUnavailable):
            async with reading(pools.api, owner) as rows:
                await rows.fetchval("select 1")
    await services.postgres.start()
    state = await journal.load(writer.team_id)
    assert state is not None
    again = Writer(owner)
    again.team_id, again.state = writer.team_id, state
    assert await again.commit(journal, UpdateTask(task_id, TaskPatch(title="after"))) == Committed()
    async with reading(pools.api, owner) as rows:
        assert await rows.fetchval("select title from tasks where id = $1", task_id) == "after"
    seqs = [row.seq for row in await journal.read(writer.team_id, 0)]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_a_cancelled_transaction_is_rolled_back_before_its_connection_goes_back(pools: Pools) -> None:
    """The pool once found it open and complained, when a worker was stopped while it tidied."""
    inside = anyio.Event()

    async def write() -> None:
        async with writing(pools.worker) as rows:
            await rows.execute("insert into inbox (consumer, event_id) values ('c', 'cancelled')")
            inside.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await inside.wait()
        group.cancel_scope.cancel()
    async with writing(pools.worker) as rows:
        assert await rows.fetchval("select count(*) from inbox") == 0
