"""A database of before there were columns: brought forward without loss, and its journal folds to what is stored."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg
import pytest

from core.codec import decode
from core.team import TeamState, evolve
from db.installation import FORMAT
from db.journal.journal import PostgresJournal
from db.migrate import back, migrate
from db.pool import Pools, open_pools
from taskforge.devstack import DevStack
from tests.fixtures.before_columns.opening import answers, left_behind, opened
from tests.support.columns import placed

pytestmark = pytest.mark.anyio

TEAMS: Final = [UUID(team_id) for team_id in answers()["teams"]]
ENG, OPS, NEW = TEAMS
COLUMNS: Final = "taskforge_0023_columns"


@pytest.fixture(scope="module")
async def pools(services: DevStack, template_database: str) -> AsyncIterator[Pools]:
    async with opened(services, "before_columns") as settings, open_pools(settings) as opened_pools:
        yield opened_pools


async def loaded(pools: Pools, team_id: UUID) -> TeamState:
    state = await PostgresJournal(pools).load(team_id)
    assert state is not None
    return state


@pytest.mark.parametrize("team_id", TEAMS, ids=("limits", "had limits", "no tasks"))
async def test_the_journal_folds_to_what_the_migration_made(pools: Pools, team_id: UUID) -> None:
    journal, folded = PostgresJournal(pools), TeamState()
    for row in await journal.read(team_id, 0):
        evolve(folded, decode(row))
    state = await loaded(pools, team_id)
    assert (folded.seq, folded.epoch, folded.team) == (state.seq, state.epoch, state.team)
    assert folded.columns == state.columns
    assert placed(folded) == placed(state)
    assert {task.id: task for task in folded.tasks.values()} == {task.id: task for task in state.tasks.values()}
    archived = await journal.archived_tasks(team_id, list(folded.archived))
    assert {task.id: task for task in archived} == folded.archived


@pytest.mark.parametrize("team_id", TEAMS, ids=("limits", "had limits", "no tasks"))
async def test_every_task_stands_where_it_stood(pools: Pools, team_id: UUID) -> None:
    state, then = await loaded(pools, team_id), answers()["answers"][f"/v1/teams/{team_id}/board"]["body"]
    for column in then["columns"]:
        found = [str(task.id) for task in state.ordered(uuid5(team_id, column["status"]))]
        assert found == [task["id"] for task in column["tasks"]], column["status"]


async def test_limits_stand_on_columns_and_are_enforced_where_there_were_any(pools: Pools) -> None:
    eng, ops, new = [await loaded(pools, team_id) for team_id in TEAMS]
    limits = {column.category: column.wip_limit for column in eng.columns.values()}
    assert limits == {"open": None, "in_progress": 4, "in_review": None, "done": None, "cancelled": 9}
    assert [state.team.wip for state in (eng, ops, new) if state.team] == ["block", "warn", "warn"]
    assert not ops.limited
    assert not new.limited


async def test_a_step_back_has_the_limits_again_and_a_step_forward_the_columns(
    services: DevStack, template_database: str
) -> None:
    async with left_behind(services, "before_columns_twice") as url:
        limits = "select id, wip_limits::jsonb as limits from teams order by id"
        before = await rows(url, limits)
        applied = (await migrate(url)).applied
        columns = await rows(url, "select * from columns order by team_id, rank")
        assert await rows(url, "select format from installation") == [{"format": FORMAT}]
        await back(url, len(applied) - applied.index(COLUMNS))
        assert await rows(url, limits) == before
        assert await rows(url, "select format from installation") == [{"format": 1}]
        await migrate(url)
        assert await rows(url, "select * from columns order by team_id, rank") == columns


async def rows(url: str, query: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url)
    try:
        return [json.loads(row[0]) for row in await connection.fetch(f"select to_jsonb(t)::text from ({query}) t")]
    finally:
        await connection.close()
