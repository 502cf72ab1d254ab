"""The inbox: an event is applied once per consumer, together with its effect or not at all."""

import asyncio

import pytest

from db.inbox import forget_applied, record
from db.pool import Pools
from db.transaction import writing

pytestmark = pytest.mark.anyio


async def applied(pools: Pools, consumer: str, event_id: str) -> bool:
    async with writing(pools.worker) as tx:
        return await record(tx, consumer, event_id)


async def test_an_event_is_recorded_once_per_consumer(pools: Pools) -> None:
    assert await applied(pools, "notifications", "team:1")
    assert not await applied(pools, "notifications", "team:1")
    assert await applied(pools, "notifications", "team:2")
    assert await applied(pools, "embeddings", "team:1")


async def test_an_effect_that_fails_leaves_the_event_to_be_applied_again(pools: Pools) -> None:
    async def failing() -> None:
        async with writing(pools.worker) as tx:
            assert await record(tx, "notifications", "team:1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await applied(pools, "notifications", "team:1")


async def test_a_second_delivery_waits_for_the_first_and_applies_if_it_failed(pools: Pools) -> None:
    async with writing(pools.worker) as tx:
        assert await record(tx, "notifications", "team:1")
        second = asyncio.ensure_future(applied(pools, "notifications", "team:1"))
        done, _ = await asyncio.wait({second}, timeout=0.1)
        assert not done
        await tx.execute("delete from inbox")
    assert await second


async def test_old_rows_are_forgotten(pools: Pools) -> None:
    await applied(pools, "notifications", "team:1")
    assert await forget_applied(pools.worker) == 0
    assert await forget_applied(pools.worker, days=0) == 1
    assert await applied(pools, "notifications", "team:1")
