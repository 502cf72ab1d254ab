"""Leases: shared among the processes that are present, held by one at a time, gone with the session."""

import math
from collections.abc import AsyncIterator

import anyio
import asyncpg
import pytest

from db.pool import Pools
from streams.leases import Leases

pytestmark = pytest.mark.anyio

COUNT = 7


class Workers:
    """Holders of the same leases, closed at the end of the test."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.all: list[Leases] = []

    def add(self, namespace: str = "tst", count: int = COUNT) -> Leases:
        self.all.append(Leases(self.pools.worker, namespace, count))
        return self.all[-1]

    async def balance(self, rounds: int = 3) -> None:
        """Let everybody balance in turn until shares have moved."""
        for _ in range(rounds):
            for worker in self.all:
                await worker.balance()


@pytest.fixture
async def workers(pools: Pools) -> AsyncIterator[Workers]:
    made = Workers(pools)
    yield made
    for worker in made.all:
        await worker.close()


async def test_one_worker_holds_every_lease(workers: Workers) -> None:
    one = workers.add()
    assert one.held == frozenset()
    assert await one.balance()
    assert not await one.balance()
    assert one.held == frozenset(range(COUNT))


@pytest.mark.parametrize("count", [2, 3])
async def test_workers_share_the_leases_and_never_hold_the_same_one(workers: Workers, count: int) -> None:
    for _ in range(count):
        workers.add()
    await workers.balance()
    held = [number for worker in workers.all for number in worker.held]
    assert sorted(held) == list(range(COUNT))
    assert max(len(worker.held) for worker in workers.all) == math.ceil(COUNT / count)


async def test_a_worker_that_ends_leaves_its_leases_to_the_others(workers: Workers) -> None:
    one, two = workers.add(), workers.add()
    await workers.balance()
    await one.close()
    assert one.held == frozenset()
    await two.balance()
    assert two.held == frozenset(range(COUNT))


async def test_leases_of_another_namespace_are_others(workers: Workers) -> None:
    one, other = workers.add("tst"), workers.add("oth", 2)
    await workers.balance()
    assert one.held == frozenset(range(COUNT))
    assert other.held == frozenset(range(2))


async def test_whoever_loses_the_session_holds_nothing_and_says_so_at_the_next_balance(
    workers: Workers, superuser: "asyncpg.Connection"
) -> None:
    one = workers.add()
    await one.balance()
    await superuser.execute(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 0 and objsubid = 2"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    with anyio.fail_after(5):
        while one.alive:
            await anyio.sleep(0.01)
    assert one.held == frozenset()
    assert await one.balance()
    assert one.held == frozenset(range(COUNT))


def test_a_namespace_has_three_letters(pools: Pools) -> None:
    with pytest.raises(ValueError, match="three letters"):
        Leases(pools.worker, "relay", COUNT)


async def test_the_relays_leases_are_the_locks_that_earlier_versions_take(
    workers: Workers, superuser: "asyncpg.Connection"
) -> None:
    """Two versions run side by side during a deployment: with other numbers both would relay the same teams."""
    await workers.add("tfr", 1).balance()
    found = await superuser.fetch(
        "select classid::bigint as name, objid::int as number, mode from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database()) order by 3"
    )
    assert [tuple(row) for row in found] == [
        (0x7466726C, 0, "ExclusiveLock"),
        (0x74667270, 0, "ShareLock"),
    ]
