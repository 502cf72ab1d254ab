"""A team of 50,000 tasks that was loaded, or sorted for a list, held the event loop of all teams for half a second."""

import asyncio
from collections.abc import Iterable
from datetime import tzinfo

import pytest

from actors import board
from actors.board import TeamView
from actors.slices import in_slices
from api.rest_v1 import REST_V1
from core.loading import SLICE_TASKS, TeamLoader
from core.query import SortField, SortKey, TaskQuery, sort_key
from core.task import Task
from db.journal.journal import PostgresJournal
from db.pool import Pools
from tests.support.columns import placed
from tests.support.core_team import CoreTeam
from tests.support.team_writer import add_user, new_team
from tests.support.turns import most_in_one_turn

pytestmark = pytest.mark.anyio


async def test_a_team_is_loaded_in_slices(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = PostgresJournal(pools)
    writer = await new_team(journal, await add_user(pools), 3 * SLICE_TASKS)
    loaded: list[Task] = []
    add = TeamLoader.add

    def counting(loader: TeamLoader, tasks: Iterable[Task]) -> None:
        loaded.extend(tasks)
        add(loader, tasks)

    monkeypatch.setattr(TeamLoader, "add", counting)
    loading = asyncio.ensure_future(journal.load(writer.team_id))
    assert await most_in_one_turn(loading, lambda: len(loaded)) == SLICE_TASKS
    state = loading.result()
    assert state is not None
    assert (state.columns, placed(state)) == (writer.state.columns, placed(writer.state))
    assert len(loaded) == len(state.tasks) == 3 * SLICE_TASKS


async def test_a_large_board_is_sorted_in_slices_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "SORTED_AT_ONCE", 10)
    team = CoreTeam()
    tasks = [team.task(f"Task {number % 7}") for number in range(95)]
    view, query = TeamView(team.state), TaskQuery(sort="title", limit=100)
    keys: list[SortKey] = []

    def counting(task: Task, field: SortField, zone: tzinfo) -> SortKey:
        keys.append(sort_key(task, field, zone))
        return keys[-1]

    monkeypatch.setattr(board, "sort_key", counting)
    assert view.ready_page(query, REST_V1) is None
    assert not keys, "the hot path must not begin what it cannot end"
    steps = view.page_in_slices(query, REST_V1)
    for _ in range(4):
        next(steps)
    retitle(view, tasks[0], "Another title")
    retitle(view, tasks[90], "Still another")
    page = asyncio.ensure_future(in_slices(steps))
    assert await most_in_one_turn(page, lambda: len(keys)) <= 10 + 4
    assert page.result() == TeamView(view.state).page(query, REST_V1)
    assert view.ready_page(TaskQuery(sort="title", limit=50), REST_V1) is not None


def retitle(view: TeamView, task: Task, title: str) -> None:
    from msgspec import structs

    state = view.state.fork()
    state.put_on_board(structs.replace(task, title=title, version=state.seq + 1))
    state.seq += 1
    view.advance(state, {task.id: None})
