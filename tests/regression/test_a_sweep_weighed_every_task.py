"""Every five seconds a sweep added up the texts of every task in memory, in one go: 130 ms for 500 teams of 1,000."""

import weakref
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from actors import system as systems
from actors.board import TeamView
from actors.system import TeamSystem
from actors.team import TeamActor
from core.commands import AddMember, ArchiveTask, CreateTask, DeleteTask, RestoreTask, UpdateTask
from core.layered import Layered
from core.query import TaskQuery
from core.task import Task, TaskFields, TaskPatch
from tests.support.actor_harness import MEMBER, OWNER, Ports, new_task, new_team, retitle
from tests.support.asking import by
from tests.support.representations import LISTS
from tests.support.turns import most_in_one_turn
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TEAMS = 12


async def test_weighing_a_team_looks_only_at_tasks_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        ids = [await new_task(system, team, "t", description="x" * 1_000) for _ in range(5)]
        view = await system.view(team)
        looked: list[UUID] = []
        get = Layered.get

        def one(tasks: Layered[UUID, Task], task_id: UUID) -> Task | None:
            looked.append(task_id)
            return get(tasks, task_id)

        def all_of_them(_: object) -> None:
            raise AssertionError("all tasks were looked at")

        assert 30_000 < view.weigh() < 40_000
        for title in ("a", "b"):
            await retitle(system, team, ids[3], title)
        monkeypatch.setattr(Layered, "values", all_of_them)
        monkeypatch.setattr(Layered, "get", one)
        assert 30_000 < view.weigh() < 40_000
        assert looked == [ids[3]]
        view.weigh()
        assert looked == [ids[3]]


async def test_the_weight_follows_every_kind_of_change() -> None:
    """What is kept up to date is what a new count would give."""
    ports = Ports()
    async with ports.system() as system, ports.system() as other:
        team = await new_team(system)
        view, far = await system.view(team), await other.view(team)
        ids = [await new_task(system, team, f"t{n}", description="words " * n) for n in range(5)]
        for command in (
            UpdateTask(ids[0], TaskPatch(title="longer", description="much longer than it was")),
            UpdateTask(ids[1], TaskPatch(description=None)),
            ArchiveTask(ids[2]),
            DeleteTask(ids[3]),
            RestoreTask(ids[2]),
            CreateTask(TaskFields(title="new")),
            AddMember(ids[4], "Eve", "member"),
        ):
            result = await system.ask(team, command, by(OWNER))
            far = await other.view(team, min_seq=result.seq)
            bare = TeamView(view.state).weigh()
            for each in (view, far):
                each._ready.clear()
                assert each.weigh() == bare
        bare = view.weigh()
        view.page(TaskQuery(), LISTS)
        view.board(LISTS)
        assert view.weigh() > bare + 4_000
        await retitle(system, team, ids[0], "again")
        assert view.weigh() < bare + 10_000
        view.reload(view.state)
        assert view.weigh() == TeamView(view.state).weigh()


async def test_a_sweep_looks_at_a_few_teams_per_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "SWEEP_SLICE", 3)
    weighed: list[TeamActor] = []
    weigh = TeamActor.weigh

    def counted(actor: TeamActor) -> int:
        weighed.append(actor)
        return weigh(actor)

    monkeypatch.setattr(TeamActor, "weigh", counted)
    ports = Ports()
    async with ports.system() as system:
        for _ in range(TEAMS):
            await new_team(system)
        assert await most_in_one_turn(system.passivate(ports.clock.monotonic()), lambda: len(weighed)) == 3
        assert len(set(weighed)) == TEAMS
        assert system.statistics().memory_bytes >= TEAMS * 20_000


async def all_gone(ports: Ports, **settings: Any) -> tuple[TeamSystem, int]:
    """Passivate every team; the most that left memory in one turn."""
    gone: list[int] = []
    async with ports.system(**settings) as system:
        for _ in range(TEAMS):
            await new_team(system)
        for number, actor in enumerate(system._actors.values()):
            weakref.finalize(actor, gone.append, number)
        del actor
        ports.clock.seconds += 10
        most = await most_in_one_turn(system.passivate(ports.clock.monotonic()), lambda: len(gone))
        assert not system.active()
        assert sorted(gone) == list(range(TEAMS))
    return system, most


async def test_idle_teams_leave_memory_one_by_one() -> None:
    """A list of all teams once held them until its end, and then freed their boards together."""
    _, most = await all_gone(Ports(), idle_seconds=1.0)
    assert most == 1


async def test_teams_over_the_budget_leave_memory_one_by_one() -> None:
    _, most = await all_gone(Ports(), memory_budget_bytes=1)
    assert most == 1


async def test_the_sweep_itself_holds_no_team_that_it_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slice it last looked at was a variable of the sweep, so that all of its boards were freed by the next one."""
    ports, gone = Ports(), list[int]()
    async with ports.system(idle_seconds=1.0) as system:
        for _ in range(TEAMS):
            await new_team(system)
        for number, actor in enumerate(system._actors.values()):
            weakref.finalize(actor, gone.append, number)
        del actor
        ports.clock.seconds += systems.WEIGH_SECONDS + 1
        monkeypatch.setattr(systems, "SWEEP_SECONDS", 0.0)
        assert await most_in_one_turn(until(lambda: len(gone) == TEAMS), lambda: len(gone)) == 1


async def test_only_as_many_teams_leave_as_the_budget_asks_for() -> None:
    ports = Ports()
    async with ports.system() as system:
        teams = [await new_team(system) for _ in range(4)]
        ports.clock.seconds += 1
        system.peek(teams[0])
        view = system.peek(teams[1])
        assert view is not None
        settings = structs.replace(system._context.settings, memory_budget_bytes=3 * view.weigh())
        system._context = structs.replace(system._context, settings=settings)
        ports.clock.seconds += 1
        system.peek(teams[2])
        await system.passivate(ports.clock.monotonic())
        assert {team for team, _ in system.active()} == set(teams[:3])
        assert MEMBER in view.state.members
