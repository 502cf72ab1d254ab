"""Effects in a transaction: with their inbox row or not at all, and once whatever is delivered."""

import asyncio
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from core.codec import JournalRow, encode, event_id
from db.pool import Pools
from db.transaction import Writing, writing
from streams.consumers.plan import Handling
from streams.consumers.transactional import in_transaction
from tests.support.journal_writer import SALT, a_task, created

pytestmark = pytest.mark.anyio

TEAM = uuids.uuid7()
CONSUMER = "reports"


def event(seq: int, team_id: UUID = TEAM) -> JournalRow:
    return encode(created(a_task(team_id, seq), seq), salt=SALT).row


async def marks(pools: Pools) -> list[str]:
    async with writing(pools.worker) as tx:
        return [row[0] for row in await tx.fetch("select event_id from inbox where consumer = $1 order by 1", CONSUMER)]


async def mark(tx: Writing, row: JournalRow) -> None:
    """An effect that can be counted: an inbox row of another consumer, which may be written only once."""
    await tx.execute("insert into inbox (consumer, event_id) values ('effect', $1)", event_id(row))


async def effects(pools: Pools) -> int:
    async with writing(pools.worker) as tx:
        return await tx.fetchval("select count(*) from inbox where consumer = 'effect'")


async def test_an_event_delivered_twice_has_its_effect_once(pools: Pools) -> None:
    handle = in_transaction(pools.worker, mark)
    assert await handle(CONSUMER, event(1)) == "applied"
    assert await handle(CONSUMER, event(1)) == "passed"
    assert await handle(CONSUMER, event(2)) == "applied"
    assert await effects(pools) == 2


async def test_twenty_deliveries_at_once_have_one_effect(pools: Pools) -> None:
    handle = in_transaction(pools.worker, mark)
    answers = await asyncio.gather(*(handle(CONSUMER, event(1)) for _ in range(20)))
    assert sorted(answers) == ["applied", *["passed"] * 19]
    assert await effects(pools) == 1


async def test_an_effect_that_fails_leaves_nothing_and_the_next_attempt_does_it_all(pools: Pools) -> None:
    broken = True

    async def write(tx: Writing, row: JournalRow) -> None:
        await mark(tx, row)
        if broken:
            raise ZeroDivisionError

    handle = in_transaction(pools.worker, write)
    with pytest.raises(ZeroDivisionError):
        await handle(CONSUMER, event(1))
    assert (await marks(pools), await effects(pools)) == ([], 0)
    broken = False
    assert await handle(CONSUMER, event(1)) == "applied"
    assert (await marks(pools), await effects(pools)) == ([event_id(event(1))], 1)


async def test_an_effect_that_had_nothing_to_write_is_not_asked_again(pools: Pools) -> None:
    asked: list[int] = []

    async def write(_: Writing, row: JournalRow) -> bool:
        asked.append(row.seq)
        return False

    handle: Handling = in_transaction(pools.worker, write)
    assert [await handle(CONSUMER, event(1)) for _ in range(2)] == ["passed", "passed"]
    assert asked == [1]


async def test_events_that_do_not_concern_the_consumer_cost_no_transaction(pools: Pools) -> None:
    handle = in_transaction(pools.worker, mark, concerns=lambda row: row.seq > 1)
    assert [await handle(CONSUMER, event(seq)) for seq in (1, 2)] == ["passed", "applied"]
    assert await marks(pools) == [event_id(event(2))]
