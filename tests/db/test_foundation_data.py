"""The database that the last release left behind: kept row by row by the migrations, loaded, and folded anew."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from core.codec import decode
from core.team import TeamState, evolve
from db.journal.journal import PostgresJournal
from db.migrate import check, migrate
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.db.test_migrate import ALL, shape
from tests.fixtures.foundation.reading import json_of
from tests.fixtures.foundation.restoring import opened, restored
from tests.support.columns import placed, tasks_of
from tests.support.databases import superuser_url

pytestmark = pytest.mark.anyio

TEAMS: Final = [UUID(team_id) for team_id in json_of("boards.json")]
MOVED: Final = {"teams": {"wip_limits"}}
"""What stands elsewhere now: limits are those of columns."""
LAST_MIGRATION: Final = "taskforge_0004_commit_rows"
# An event id is `<team>:<seq>`, and `<team>:<epoch>:<seq>` once the migrations have rewritten it: the same event.
EVENT_ID: Final = re.compile(r'"event_id": "([0-9a-f-]{36}):(?:1:)?([0-9]+)"')


@pytest.fixture(scope="module")
async def foundation(services: DevStack, template_database: str) -> AsyncIterator[DatabaseSettings]:
    async with opened(services, "foundation_data") as settings:
        yield settings


@pytest.fixture
async def left_behind(foundation: DatabaseSettings) -> AsyncIterator[Pools]:
    async with open_pools(foundation) as opened_pools:
        yield opened_pools


async def rows_of(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set timezone = 'UTC'")
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {
            name: [
                json.loads(EVENT_ID.sub(r'"event_id": "\1:\2"', text))
                for (text,) in await connection.fetch(f"select to_jsonb(t)::text from {name} t")
            ]
            for (name,) in tables
        }
    finally:
        await connection.close()


async def test_the_migrations_since_keep_every_row(services: DevStack, template_database: str) -> None:
    async with restored(services, "foundation_rows") as url:
        assert await check(url) == list(ALL[ALL.index(LAST_MIGRATION) + 1 :])
        before = await rows_of(url)
        await migrate(url)
        after = await rows_of(url)
    for table, rows in before.items():
        names = rows[0].keys() - MOVED.get(table, set()) if rows else set()
        kept = [{name: row[name] for name in names} for row in after[table]]
        lost = [row for row in rows if {name: row[name] for name in names} not in kept]
        assert not lost, f"{table}: {lost}"
    empty = {table for table, rows in before.items() if not rows}
    assert empty == {"comments"}, "the history has rows everywhere else"


async def test_a_database_brought_forward_is_built_like_a_new_one(
    services: DevStack, foundation: DatabaseSettings, database: DatabaseSettings
) -> None:
    old, new = [await shape(superuser_url(services, one)) for one in (foundation, database)]
    assert old == new


@pytest.mark.parametrize("team_id", TEAMS)
async def test_the_journal_folds_to_what_is_stored(left_behind: Pools, team_id: UUID) -> None:
    journal = PostgresJournal(left_behind)
    stored, folded = await journal.load(team_id), TeamState()
    assert stored is not None
    for row in await journal.read(team_id, 0):
        evolve(folded, decode(row))
    assert (folded.seq, folded.top_number, folded.team) == (stored.seq, stored.top_number, stored.team)
    assert (folded.members, folded.labels) == (stored.members, stored.labels)
    assert (folded.columns, placed(folded)) == (stored.columns, placed(stored))
    assert {key: folded.external.get(key) for key in (("jira", "PROJ-1 ü"), ("linear", "77"))} == {
        key: stored.external.get(key) for key in (("jira", "PROJ-1 ü"), ("linear", "77"))
    }
    archived = await journal.archived_tasks(team_id, list(folded.archived))
    assert {task.id: task for task in archived} == folded.archived


@pytest.mark.parametrize("team_id", TEAMS)
async def test_the_stored_team_is_the_one_that_was_answered(left_behind: Pools, team_id: UUID) -> None:
    """By ids, places and versions: the bytes are compared where answers are made."""
    stored = await PostgresJournal(left_behind).load(team_id)
    assert stored is not None
    board = json.loads(json_of("boards.json")[str(team_id)])
    assert (stored.seq, stored.epoch) == (board["seq"], board["epoch"])
    for column in board["columns"]:
        found = [(str(task.id), task.rank, task.version) for task in tasks_of(stored, column["status"])]
        assert found == [(task["id"], task["rank"], task["version"]) for task in column["tasks"]]
