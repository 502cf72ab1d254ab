"""What has left the outbox: kept with the life of the broker it was sent to, given back to another one, forgotten."""

from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids

from db import inbox, outbox
from db.outbox import JOBS, MAIL, give_back, moving, put
from db.outbox_sent import forget_sent
from db.pool import Pools
from db.transaction import writing
from tests.support.refused import refused

pytestmark = pytest.mark.anyio

ADA = uuids.uuid7()
OLD, NEW = "a-life", "the-next"
SENT = "select id from outbox_sent order by position"


async def asked(pools: Pools, count: int, *, discard: bool = False) -> list[UUID]:
    ids = []
    for _ in range(count):
        async with writing(pools.api) as tx:
            ids.append(await put(tx, MAIL, "verify-email", ADA, discard=discard))
    return ids


async def left(pools: Pools, life: str) -> list[UUID]:
    """Move what waits, to the broker in this life of it."""
    async with moving(pools.worker, 100, life) as rows:
        return [row.id for row in rows]


async def sent(superuser: "asyncpg.Connection") -> list[UUID]:
    return [row["id"] for row in await superuser.fetch(SENT)]


async def test_what_was_published_is_kept_whole_and_what_was_for_nobody_is_not(
    pools: Pools, superuser: "asyncpg.Connection"
) -> None:
    (row_id,) = await asked(pools, 1)
    await asked(pools, 2, discard=True)
    before = await superuser.fetchrow("select * from outbox where id = $1", row_id)
    assert len(await left(pools, OLD)) == 3
    (kept,) = await superuser.fetch("select * from outbox_sent")
    assert kept["life"] == OLD
    assert dict(kept) | {"discard": False} == dict(before) | {"life": OLD, "sent_at": kept["sent_at"]}


async def test_rows_of_another_life_come_back_to_their_place_and_those_of_this_one_stay_away(
    pools: Pools, superuser: "asyncpg.Connection"
) -> None:
    first = await asked(pools, 3)
    rows = await superuser.fetch("select * from outbox order by position")
    await left(pools, OLD)
    assert await give_back(pools.worker, OLD) == 0
    since = await asked(pools, 1)
    assert await give_back(pools.worker, NEW) == 3
    assert (await superuser.fetch("select * from outbox order by position"))[:3] == rows
    assert await sent(superuser) == []
    assert await left(pools, NEW) == [*first, *since]
    assert await give_back(pools.worker, NEW) == 0
    assert await sent(superuser) == [*first, *since]


async def test_many_come_back_slice_after_slice(
    pools: Pools, superuser: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await asked(pools, 5)
    await left(pools, OLD)
    monkeypatch.setattr(outbox, "GIVEN_BACK_AT_ONCE", 2)
    assert await give_back(pools.worker, NEW) == 5
    assert await left(pools, NEW) == ids


async def test_nothing_comes_back_while_another_worker_moves(pools: Pools, superuser: "asyncpg.Connection") -> None:
    ids = await asked(pools, 1)
    await left(pools, OLD)
    await asked(pools, 1)
    async with moving(pools.worker, 100, OLD) as rows:
        assert len(rows) == 1
        assert await give_back(pools.worker, NEW) is None
    assert len(await sent(superuser)) == 2
    assert await give_back(pools.worker, NEW) == 2
    assert (await left(pools, NEW))[:1] == ids


async def test_what_is_applied_or_old_is_forgotten_and_what_somebody_may_still_miss_is_kept(
    pools: Pools, superuser: "asyncpg.Connection"
) -> None:
    applied, claimed, old, waiting = await asked(pools, 4)
    async with writing(pools.api) as tx:
        job = await put(tx, JOBS, "recurrence", ADA)
    await left(pools, OLD)
    async with writing(pools.worker) as tx:
        await inbox.record(tx, "mail", str(applied))
        await inbox.record(tx, "recurrence", str(job))
        await inbox.claim(tx, "mail", str(claimed), 60)
    await superuser.execute("update outbox_sent set sent_at = now() - interval '15 days' where id = $1", old)
    assert await forget_sent(pools.worker, ["mail", "thumbnails"]) == 2
    assert await sent(superuser) == [claimed, waiting, job]
    assert await forget_sent(pools.worker, ["mail", "thumbnails"]) == 0


@pytest.mark.parametrize("role", ["api", "writer"])
@pytest.mark.parametrize("statement", ["table outbox_sent", "delete from outbox_sent"])
async def test_nobody_but_the_relay_sees_it(pools: Pools, role: str, statement: str) -> None:
    with refused():
        async with writing(getattr(pools, role)) as tx:
            await tx.execute(statement)
