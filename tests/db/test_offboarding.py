"""What becomes of each table of a team that is deleted: the list is whole, and it is true."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from core.ended import DELETED_TEAM, GONE_KEY
from db import checkpoints
from db.offboarding import KEPT, TABLES, begin_forgetting, clear_team, end_team, expire_files, forget_team
from db.pool import Pools
from db.transaction import writing
from tests.support.catalogue import TEAM, VICTIM, fill

pytestmark = pytest.mark.anyio

_OF_TEAMS = """
select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'team_id'
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not a.attisdropped
"""
_TAKEN_ALONG = """
select exists (
    select from pg_constraint
    where conrelid = $1::text::regclass and confrelid = $2::text::regclass and contype = 'f' and confdeltype = 'c'
)
"""


async def test_every_table_of_teams_has_its_fate(superuser: "asyncpg.Connection[Any]") -> None:
    """A new table with a `team_id` needs a line in `db/offboarding.py`."""
    found = {row["relname"] for row in await superuser.fetch(_OF_TEAMS)}
    assert found | {"teams"} == TABLES.keys()


async def test_what_goes_with_another_table_is_taken_along_by_the_database(
    superuser: "asyncpg.Connection[Any]",
) -> None:
    along = {table: fate.how for table, fate in TABLES.items() if fate.when == "with another"}
    assert {
        table for table, other in along.items() if not await superuser.fetchval(_TAKEN_ALONG, table, other)
    } == set()
    assert all(other in TABLES for other in along.values())


@pytest.fixture
async def filled(superuser: "asyncpg.Connection[Any]") -> None:
    """One row of the team's in every table."""
    await fill(superuser)
    await superuser.execute("update teams set deleted_at = null, deleted_by = null, forgetting_at = null")


async def left(superuser: "asyncpg.Connection[Any]", when: str) -> set[str]:
    """The tables of this fate that have a row still."""
    tables = [table for table, fate in TABLES.items() if fate.when == when]
    return {table for table in tables if await superuser.fetchval(f"select count(*) from {table}")}


@pytest.mark.usefixtures("filled")
async def test_what_is_cleared_is_gone_and_what_stays_is_there(
    superuser: "asyncpg.Connection[Any]", pools: Pools
) -> None:
    async with writing(pools.worker) as tx:
        deleted_at = await end_team(tx, TEAM, VICTIM)
    async with writing(pools.worker) as tx:
        assert await end_team(tx, TEAM, TEAM) == deleted_at, "done again, it is as it was"
    assert await clear_team(pools.worker, TEAM) == 12, "tickets and invitations have ended before"
    assert await checkpoints.of_ended_teams(pools.worker, 9) == [TEAM]
    async with writing(pools.worker) as tx:
        assert await checkpoints.end(tx, TEAM)
    assert await left(superuser, "at once") == set()
    assert await expire_files(pools.worker, TEAM) == 2
    for table in ("objects", "board_snapshots"):
        assert await superuser.fetchval(f"select expires_at <= now() from {table}"), table
    stays = {table for table, fate in TABLES.items() if fate.when == "stays"}
    assert await left(superuser, "stays") == stays
    assert await left(superuser, "after 30 days") == {"former_members", "redactions_due"}
    assert await superuser.fetchval("select revoked_at <= now() from api_keys")
    assert await superuser.fetchval("select deleted_by from teams") == VICTIM
    async with writing(pools.worker) as tx:
        await forget_team(tx, TEAM)
    assert await left(superuser, "after 30 days") == set()
    team = await superuser.fetchrow("select name, key, forgotten_at is not null as forgotten from teams")
    assert tuple(team) == (DELETED_TEAM, GONE_KEY, True)


@pytest.mark.usefixtures("filled")
async def test_another_team_keeps_everything(superuser: "asyncpg.Connection[Any]", pools: Pools) -> None:
    other = VICTIM
    async with writing(pools.worker) as tx:
        assert await end_team(tx, other, VICTIM) is None
    assert await clear_team(pools.worker, other) == await expire_files(pools.worker, other) == 0
    async with writing(pools.worker) as tx:
        assert not await checkpoints.end(tx, other)
        await forget_team(tx, other)
    assert await left(superuser, "at once") == {table for table, fate in TABLES.items() if fate.when == "at once"}
    assert await superuser.fetchval("select deleted_at from teams") is None


@pytest.mark.usefixtures("filled")
async def test_a_team_is_forgotten_once_when_thirty_days_are_over(pools: Pools) -> None:
    async with writing(pools.worker) as tx:
        deleted_at = await end_team(tx, TEAM, VICTIM)
    for now, expected in (
        (deleted_at + KEPT - timedelta(seconds=1), []),
        (deleted_at + KEPT, [TEAM]),
        (deleted_at + 2 * KEPT, []),
    ):
        async with writing(pools.worker) as tx:
            assert [one.team_id for one in await begin_forgetting(tx, now, 9)] == expected
    assert timedelta(days=30) == KEPT
    assert deleted_at <= datetime.now(UTC)
