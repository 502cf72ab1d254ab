"""The committer's connection: sticky while it is used often, given back when not or when anything goes wrong."""

import asyncio

import pytest

from db.journal import sticky as module
from db.journal.journal import PostgresJournal
from db.journal.sticky import StickyConnection
from db.pool import Pools
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


def idle(pools: Pools) -> bool:
    return pools.writer.get_idle_size() == pools.writer.get_size()


async def pid(sticky: StickyConnection) -> int:
    async with sticky as connection:
        found: int = await connection.fetchval("select pg_backend_pid()")
    return found


async def test_it_is_kept_between_uses_and_given_back_when_none_comes(pools: Pools) -> None:
    sticky = StickyConnection(pools.writer, 5.0)
    assert await pid(sticky) == await pid(sticky)
    assert not idle(pools)
    await until(lambda: idle(pools))
    await pid(sticky)
    await until(lambda: idle(pools))


async def test_who_comes_as_it_is_given_back_gets_one_of_his_own(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    """Giving back takes turns of the event loop: a connection must not be reset under somebody who uses it already."""
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    sticky = StickyConnection(pools.writer, 5.0)
    for turns in range(60):
        await pid(sticky)
        for _ in range(turns % 6):
            await asyncio.sleep(0)
        await pid(sticky)
    await until(lambda: idle(pools))


async def fail(sticky: StickyConnection) -> None:
    async with sticky:
        raise LookupError


async def test_a_failure_gives_it_back(pools: Pools) -> None:
    sticky = StickyConnection(pools.writer, 5.0)
    with pytest.raises(LookupError):
        await fail(sticky)
    assert idle(pools)
    assert not sticky.busy


async def test_a_transaction_left_open_does_not_swallow_the_next_commit(pools: Pools) -> None:
    sticky, loop = StickyConnection(pools.writer, 5.0), asyncio.get_running_loop()
    complaints, handler = list[str](), loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with sticky as connection:
        await connection.execute("begin")
    loop.set_exception_handler(handler)
    assert len(complaints) == 1  # The driver's: it is a bug of whoever left it open.
    async with sticky as connection:
        assert not connection.is_in_transaction()


@pytest.mark.parametrize("inside", [False, True])
async def test_a_lost_one_is_replaced(pools: Pools, inside: bool) -> None:
    """Lost in the end of a use: what was done is done, and saying so must not fail."""
    sticky = StickyConnection(pools.writer, 5.0)
    async with sticky as connection:
        lost = connection
        first = await connection.fetchval("select pg_backend_pid()")
        if inside:
            await terminate(pools, first)
            await until(lambda: not module._clean(lost))
    if not inside:
        await terminate(pools, first)
        await until(lambda: not module._clean(lost))
    assert await pid(sticky) != first
    await until(lambda: idle(pools))


async def terminate(pools: Pools, backend: int) -> None:
    async with pools.writer.acquire() as other:
        await other.execute("select pg_terminate_backend($1)", backend)


async def test_it_has_one_user_at_a_time(pools: Pools) -> None:
    sticky = StickyConnection(pools.writer, 5.0)
    async with sticky:
        assert sticky.busy
        with pytest.raises(RuntimeError):
            async with sticky:
                pass
        assert sticky.busy
    assert not sticky.busy


async def test_commits_beside_each_other_have_a_connection_each(pools: Pools) -> None:
    journal = PostgresJournal(pools)
    async with journal._connection() as one, journal._connection() as other:
        assert await one.fetchval("select pg_backend_pid()") != await other.fetchval("select pg_backend_pid()")
