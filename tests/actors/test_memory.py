"""What a board is made of must not be looked through by the garbage collector: that once stopped answers for 140 ms.

And all of it goes when its team leaves memory.
"""

import gc
import tracemalloc
import weakref
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from actors.board import DROPPED_AT_ONCE, TeamView
from actors.system import TeamSystem
from actors.team import TeamActor
from core.codec import encode
from core.events import TaskCreated, Team
from core.loading import load_team
from core.query import TaskQuery
from core.task import Task
from core.team import TeamState
from core.writes import JournalPosition
from tests.support.actor_harness import Ports
from tests.support.columns import default_columns
from tests.support.journal_writer import NOW, a_task
from tests.support.memory_ports import MemoryJournal
from tests.support.representations import LISTS, PAGES


def test_tasks_and_events_are_not_tracked() -> None:
    team, person, now = uuids.uuid7(), uuids.uuid7(), datetime.now(UTC)
    common: dict[str, Any] = {"created_by": person, "created_at": now, "updated_at": now}
    task = Task(id=uuids.uuid7(), team_id=team, number=1, key="E-1", title="t", rank="a0", version=1, **common)
    encoded = encode(TaskCreated(team_id=team, seq=1, actor_id=person, at=now, task=task), salt=bytes(16))
    assert not any(map(gc.is_tracked, (task, encoded, encoded.event, encoded.row)))


class Anew(MemoryJournal):
    """Every team has so many tasks, which it makes when it is asked for them, and forgets."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.tasks_each = tasks

    async def position(self, team_ids: Sequence[UUID]) -> Mapping[UUID, JournalPosition]:
        return {team_id: JournalPosition(1) for team_id in team_ids}

    async def load(self, team_id: UUID) -> TeamState | None:
        tasks = [a_task(team_id, number, rank=f"a{number:05}") for number in range(1, self.tasks_each + 1)]
        team = Team(id=team_id, name="T", key="T", created_by=team_id, created_at=NOW, updated_at=NOW, version=1)
        return load_team(
            team=team,
            seq=1,
            epoch=1,
            top_number=len(tasks),
            members=(),
            labels=(),
            columns=default_columns(team_id).values(),
            tasks=tasks,
            archived_external={},
        )


@pytest.mark.anyio
async def test_a_team_that_leaves_memory_leaves_nothing_behind() -> None:
    """Counted in bytes, because what a board is made of is known to no collector."""
    ports, freed = Ports(), list[int]()
    ports.journal = Anew(3_000)

    async def noting(size: int) -> None:
        freed.append(size)

    async with ports.system(freed=noting) as system:
        tracemalloc.start()
        gc.disable()
        try:
            await come_and_go(ports, system)
            before, _ = tracemalloc.get_traced_memory()
            actor = await come_and_go(ports, system)
            after, most = tracemalloc.get_traced_memory()
        finally:
            gc.enable()
            tracemalloc.stop()
    assert actor() is None, "and it needs no collector to go"
    assert most - before > 3_000 * 1_000
    assert after - before < (most - before) / 100
    assert len(freed) == 2
    assert freed[0] > 3_000 * 1_000


@pytest.mark.anyio
async def test_a_reader_who_still_has_the_board_of_a_team_that_left_has_all_of_it() -> None:
    ports = Ports()
    ports.journal = Anew(DROPPED_AT_ONCE + 100)
    async with ports.system() as system:
        team = uuids.uuid7()
        view = await system.view(team)
        whole = view.board(LISTS)
        ports.clock.seconds += 1_000_000
        await system.passivate(ports.clock.monotonic())
        assert system.statistics().active == 0
        assert TeamView(view.state).board(LISTS) == whole
        assert view.page(TaskQuery(sort="title"), LISTS)


async def come_and_go(ports: Ports, system: TeamSystem) -> "weakref.ref[TeamActor]":
    team = uuids.uuid7()
    view = await system.view(team)
    for query in (TaskQuery(), TaskQuery(sort="title"), TaskQuery(q="task 7")):
        view.page(query, LISTS)
        view.page(query, PAGES)
    view.board(LISTS)
    view.task_by_number(7)
    actor = weakref.ref(system._actors[team])
    del view
    ports.clock.seconds += 1_000_000
    await system.passivate(ports.clock.monotonic())
    assert system.statistics().active == 0
    return actor
