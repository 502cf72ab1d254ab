"""Activation, passivation, other processes' events, and the ready answers."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.board import TeamView
from actors.system import TeamSystem
from core.codec import JournalRow, encode, reread
from core.commands import ArchiveTask, CreateTask, MoveTask, UpdateTask
from core.events import TaskEvent
from core.query import SORT_FIELDS, SortField, TaskQuery, sort_key
from core.task import Task, TaskFields, TaskPatch
from tests.support.actor_harness import OWNER, Ports, new_task, new_team, retitle
from tests.support.asking import by
from tests.support.representations import LISTS, PAGES

pytestmark = pytest.mark.anyio


class Page(msgspec.Struct):
    items: list[Task]
    last: tuple[bool, str | int | float, UUID] | None


async def test_ask_after_passivation_reactivates_the_team_from_its_snapshot() -> None:
    ports = Ports()
    async with ports.system(idle_seconds=60) as system:
        team = await new_team(system)
        task = await new_task(system, team)
        ports.clock.seconds += 61
        await system.passivate(ports.clock.monotonic())
        assert system.peek(team) is None
        assert system.statistics().passivated == 1
        assert ports.snapshots.states[team].seq == 4
        assert (await retitle(system, team, task, "again")).seq == 5
        assert ports.journal.loads == 0


async def test_without_a_snapshot_the_tables_are_loaded() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
    ports.snapshots.states.clear()
    async with ports.system() as system:
        assert (await system.view(team)).seq == 3
        assert ports.journal.loads == 1


async def test_a_snapshot_behind_the_journal_is_brought_up_to_date() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        old = ports.snapshots
        await system.drain()
    saved = old.states[team].detach()
    async with ports.system() as system:
        await new_task(system, team, "later")
    ports.snapshots.states[team] = saved
    async with ports.system() as system:
        view = await system.view(team)
        assert view.seq == 4
        assert len(view.state.tasks) == 1
        assert ports.journal.loads == 0


async def test_the_least_recently_used_team_leaves_when_memory_is_over_budget() -> None:
    ports = Ports()
    async with ports.system(memory_budget_bytes=50_000) as system:
        teams = []
        for _ in range(3):
            ports.clock.seconds += 1
            teams.append(await new_team(system))
        await system.passivate(ports.clock.monotonic())
        assert system.peek(teams[0]) is None
        assert system.peek(teams[2]) is not None
        assert system.statistics().memory_bytes <= 50_000


async def test_other_processes_events_are_absorbed_and_gaps_are_fetched() -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        await other.view(team)
        await new_task(one, team, "first")
        await new_task(one, team, "second")
        rows = ports.journal.rows[team]
        reads = ports.journal.reads
        other.absorb(team, [reread(rows[3])])
        await until_at(other, team, 4)
        assert ports.journal.reads == reads
        await new_task(one, team, "third")
        other.absorb(team, [reread(rows[5])])
        await until_at(other, team, 6)
        other.absorb(team, [reread(rows[3])])
        other.catch_up_to(team, 3)
        await new_task(one, team, "fourth")
        other.catch_up_to(team, 7)
        await until_at(other, team, 7)
        view, own = other.peek(team), one.peek(team)
        assert view is not None
        assert own is not None
        assert view.board(LISTS) == own.board(LISTS)
        assert other.active() == [(team, 7)]


async def until_at(system: TeamSystem, team: UUID, seq: int) -> None:
    async with asyncio.timeout(5):
        while (view := system.peek(team)) is None or view.seq < seq:
            await asyncio.sleep(0)


@pytest.mark.parametrize("newer", [{"type": "task.teleported"}, {"schema_version": 2}], ids=["type", "version"])
async def test_an_event_of_a_newer_program_makes_the_team_reload_its_tables(
    newer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        await other.view(team)
        await new_task(one, team)
        loads = ports.journal.loads

        async def read(team_id: UUID, after: int, limit: int = 1000) -> list[JournalRow]:
            return [msgspec.structs.replace(row, **newer) for row in ports.journal.rows[team_id][after:]]

        monkeypatch.setattr(ports.journal, "read", read)
        other.catch_up_to(team, 4)
        await until_at(other, team, 4)
        assert ports.journal.loads == loads + 1


async def test_an_attribute_of_a_newer_program_makes_no_team_reload_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    async with ports.system() as one, ports.system() as other:
        team = await new_team(one)
        await other.view(team)
        await new_task(one, team, "as before")
        loads = ports.journal.loads

        async def read(team_id: UUID, after: int, limit: int = 1000) -> list[JournalRow]:
            newer = [msgspec.json.decode(row.payload) for row in ports.journal.rows[team_id][after:]]
            for data in newer:
                data["of_tomorrow"] = data["task"]["of_tomorrow"] = [1]
            rows = ports.journal.rows[team_id][after:]
            return [
                msgspec.structs.replace(row, payload=msgspec.json.encode(data))
                for row, data in zip(rows, newer, strict=True)
            ]

        monkeypatch.setattr(ports.journal, "read", read)
        other.catch_up_to(team, 4)
        await until_at(other, team, 4)
        assert ports.journal.loads == loads
        assert [task.title for task in (await other.view(team)).state.tasks.values()] == ["as before"]


async def test_snapshots_are_written_in_passing_but_not_too_often() -> None:
    ports = Ports()
    async with ports.system(snapshot_every=5) as system:
        team = await new_team(system)
        for n in range(10):
            await new_task(system, team, f"t{n}")
        assert team not in ports.snapshots.states
        ports.clock.seconds += 11
        await new_task(system, team, "due")
        async with asyncio.timeout(5):
            while team not in ports.snapshots.states:
                await asyncio.sleep(0)


async def test_pages_walk_the_whole_board_in_every_order() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        for n in range(23):
            fields = {"estimate": float(n % 5) if n % 3 else None, "priority": ("none", "high", "urgent")[n % 3]}
            await new_task(system, team, f"title {n % 7}", **fields)
        view = await system.view(team)
        for sort in SORT_FIELDS:
            for descending in (False, True):
                seen = walk(view, TaskQuery(sort=sort, descending=descending, limit=4))
                assert len({task.id for task in seen}) == 23
                assert [task.id for task in seen] == [task.id for task in in_order(seen, sort, descending=descending)]


def walk(view: TeamView, query: TaskQuery) -> list[Task]:
    seen: list[Task] = []
    while True:
        page = msgspec.json.decode(view.page(query, LISTS), type=Page)
        seen += page.items
        if page.last is None:
            return seen
        query = msgspec.structs.replace(query, after=sort_key(seen[-1], query.sort))
        assert page.last[2] == seen[-1].id


def in_order(tasks: list[Task], sort: SortField, *, descending: bool) -> list[Task]:
    present = [task for task in tasks if not sort_key(task, sort)[0]]
    missing = [task for task in tasks if sort_key(task, sort)[0]]
    return [
        *sorted(present, key=lambda task: sort_key(task, sort), reverse=descending),
        *sorted(missing, key=lambda task: task.id, reverse=descending),
    ]


async def test_cached_answers_follow_every_change() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        ids = [await new_task(system, team, f"t{n}") for n in range(5)]
        view = await system.view(team)
        queries = [
            TaskQuery(),
            TaskQuery(status=("open",)),
            TaskQuery(q="T1"),
            TaskQuery(sort="title", descending=False),
            TaskQuery(sort="updated_at"),
        ]
        assert view.task_by_number(3) == ids[2]
        for command in (
            UpdateTask(ids[1], TaskPatch(title="changed")),
            MoveTask(task_id=ids[2], status="done"),
            ArchiveTask(ids[3]),
            CreateTask(TaskFields(title="t1 again")),
        ):
            for shown in (LISTS, PAGES):
                assert [view.page(query, shown) for query in queries] == [view.page(query, shown) for query in queries]
                view.board(shown)
            result = await system.ask(team, command, by(OWNER))
            fresh = type(view)(view.state)
            for shown in (LISTS, PAGES):
                assert [view.page(query, shown) for query in queries] == [fresh.page(query, shown) for query in queries]
                assert view.board(shown) == fresh.board(shown)
                assert [view.task(task_id, shown) for task_id in ids] == [fresh.task(task_id, shown) for task_id in ids]
            assert f'"seq":{result.seq},'.encode() in view.board(LISTS)
        assert view.task_by_number(4) is None
        assert view.weigh() > 20_000


async def test_the_page_cache_is_bounded() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        view = await system.view(team)
        for n in range(600):
            assert view.page(TaskQuery(q=str(n)), LISTS) == b'{"items":[],"last":null}'
        assert len(view._ready[LISTS].pages) <= 256
        await new_task(system, team, "599")
        assert b'"title":"599"' in view.page(TaskQuery(q="599"), LISTS)


async def test_published_events_are_the_journals_to_the_byte() -> None:
    ports = Ports()
    async with ports.system() as system:
        team = await new_team(system)
        task = await new_task(system, team, 'ünïcode \\ " ', description="\u2028 ")
        await retitle(system, team, task, "again", by(OWNER, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"))
        for published, row in zip(ports.feed.published, ports.journal.rows[team], strict=True):
            assert published == reread(row)
            if isinstance(published.event, TaskEvent):
                assert encode(published.event, row.traceparent, salt=row.salt).row == row
