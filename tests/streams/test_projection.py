"""An ordered projection applies each event of a team exactly once and in order, however the topic delivers them."""

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

import pytest
from msgspec import structs

from core.codec import JournalRow
from core.errors import StorageUnavailable
from db.pool import Pools
from db.transaction import Writing, writing
from streams.consumers import projection
from streams.consumers.plan import Handling
from streams.consumers.projection import MissingEvent, projected
from tests.support.journal_writer import JournalWriter

pytestmark = pytest.mark.anyio

NAME = "statistics"


async def table(journal: JournalWriter) -> None:
    """What the projection of these tests writes: the events in the order in which they were applied."""
    await journal.pool.execute(
        "create table applied (place bigserial, team_id uuid, seq bigint, title text);"
        " grant select, insert, delete on applied to taskforge_worker;"
        " grant usage on sequence applied_place_seq to taskforge_worker"
    )


async def apply(tx: Writing, row: JournalRow) -> None:
    await tx.execute("insert into applied (team_id, seq) values ($1, $2)", row.team_id, row.seq)


async def forget(tx: Writing, team_id: UUID) -> None:
    await tx.execute("delete from applied where team_id = $1", team_id)


def ordered(pools: Pools) -> Handling:
    return projected(pools.worker, apply, forget)


async def applied(pools: Pools, team_id: UUID) -> list[int]:
    async with writing(pools.worker) as tx:
        return [row[0] for row in await tx.fetch("select seq from applied where team_id = $1 order by place", team_id)]


async def history(journal: JournalWriter, count: int) -> tuple[UUID, Sequence[JournalRow]]:
    team_id = await journal.team()
    return team_id, [event.row for event in await journal.append(team_id, count)]


async def test_events_in_order_are_applied_one_by_one(pools: Pools, journal: JournalWriter) -> None:
    await table(journal)
    team_id, rows = await history(journal, 3)
    handle = ordered(pools)
    for row in rows:
        assert await handle(NAME, row) == "applied"
        assert (await applied(pools, team_id))[-1] == row.seq


async def test_what_is_older_is_ignored(pools: Pools, journal: JournalWriter) -> None:
    await table(journal)
    team_id, rows = await history(journal, 3)
    handle = ordered(pools)
    answers = [await handle(NAME, row) for row in (rows[0], rows[0], rows[1], rows[0], rows[1])]
    assert answers == ["applied", "passed", "applied", "passed", "passed"]
    assert await applied(pools, team_id) == [1, 2]


@pytest.mark.parametrize("page", [500, 2])
async def test_what_is_missing_is_read_from_the_journal(
    pools: Pools, journal: JournalWriter, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    await table(journal)
    monkeypatch.setattr(projection, "PAGE", page)
    team_id, rows = await history(journal, 5)
    assert await ordered(pools)(NAME, rows[4]) == "applied"
    assert await applied(pools, team_id) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("seed", range(5))
async def test_any_order_with_repetitions_and_losses_is_the_journals_order_in_the_end(
    pools: Pools, journal: JournalWriter, seed: int
) -> None:
    await table(journal)
    chance = random.Random(seed)
    teams = [await history(journal, 12) for _ in range(3)]
    delivered = [row for _, rows in teams for row in rows[:-1] for _ in range(chance.randrange(3))]
    chance.shuffle(delivered)
    handle = ordered(pools)
    for row in delivered:
        await handle(NAME, row)
    for _, rows in teams:
        await handle(NAME, rows[-1])
    for team_id, _ in teams:
        assert await applied(pools, team_id) == [*range(1, 13)]


async def test_deliveries_at_once_wait_for_each_other(pools: Pools, journal: JournalWriter) -> None:
    await table(journal)
    team_id, rows = await history(journal, 8)
    handle = ordered(pools)
    await asyncio.gather(*(handle(NAME, row) for row in reversed(rows)))
    assert await applied(pools, team_id) == [*range(1, 9)]


async def test_a_failure_moves_nothing_and_the_teams_next_event_makes_up_for_it(
    pools: Pools, journal: JournalWriter
) -> None:
    await table(journal)
    team_id, rows = await history(journal, 3)
    broken = True

    async def apply_unless_broken(tx: Writing, row: JournalRow) -> None:
        await apply(tx, row)
        if broken and row.seq == 2:
            raise StorageUnavailable("not now")

    handle = projected(pools.worker, apply_unless_broken, forget)
    await handle(NAME, rows[0])
    for row in rows[1:]:
        with pytest.raises(StorageUnavailable):
            await handle(NAME, row)
    assert await applied(pools, team_id) == [1]
    broken = False
    assert await handle(NAME, rows[2]) == "applied"
    assert await applied(pools, team_id) == [1, 2, 3]


async def test_two_projections_do_not_share_a_position(pools: Pools, journal: JournalWriter) -> None:
    await table(journal)
    team_id, rows = await history(journal, 1)
    handle = ordered(pools)
    assert [await handle(name, rows[0]) for name in ("one", "two")] == ["applied", "applied"]
    assert await applied(pools, team_id) == [1, 1]


async def test_a_hole_in_the_journal_is_an_error_and_nothing_is_skipped(pools: Pools, journal: JournalWriter) -> None:
    await table(journal)
    team_id, rows = await history(journal, 4)
    await journal.pool.execute("delete from task_events where team_id = $1 and seq = 2", team_id)
    handle = ordered(pools)
    await handle(NAME, rows[0])
    for row in rows[2:]:
        with pytest.raises(MissingEvent):
            await handle(NAME, row)
    assert await applied(pools, team_id) == [1]


async def test_a_rewritten_history_is_built_anew_and_what_was_lost_is_ignored(
    pools: Pools, journal: JournalWriter
) -> None:
    """A restore took the team back to its first event; since then it has had other events, in another epoch."""
    await table(journal)
    team_id, lost = await history(journal, 3)
    handle = ordered(pools)
    for row in lost:
        await handle(NAME, row)
    await journal.pool.execute("delete from task_events where team_id = $1 and seq > 1", team_id)
    await journal.pool.execute("update teams set seq = 1, epoch = 2 where id = $1", team_id)
    await journal.pool.execute("insert into team_epochs (team_id, epoch, from_seq) values ($1, 2, 2)", team_id)

    (since,) = await journal.append(team_id, 1)
    assert await handle(NAME, structs.replace(since.row, epoch=2)) == "applied"
    assert await applied(pools, team_id) == [1, 2]
    assert [await handle(NAME, row) for row in lost] == ["passed"] * 3
    *_, latest = await journal.append(team_id, 2)
    assert await handle(NAME, structs.replace(latest.row, epoch=2)) == "applied"
    assert await applied(pools, team_id) == [1, 2, 3, 4]
