"""Series of tasks through Postgres: schedulers that race and die, jobs that come 64 times, and one next task each."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import anyio
import asyncpg
import pytest

from actors.settings import ActorSettings
from actors.system import TeamSystem
from core.commands import ArchiveTask, CreateTask, CreateTeam, MoveTask, RestoreTask, UpdateTask
from core.recurrence import RecurrenceRule
from core.task import Status, Task, TaskFields, TaskPatch
from db.ids import new_id
from db.journal.journal import PostgresJournal
from db.pool import Pools
from db.transaction import reading
from db.zones import zone_named
from streams.consumers.jobs import Job, read_job
from streams.consumers.recurrence import recurrence as consumer
from streams.scheduler.recurrence import recurrence
from streams.scheduler.scheduler import Scheduler
from tests.support.asking import by
from tests.support.clocks import DAY, first_moment, first_showing, pieces
from tests.support.memory_ports import ManualClock, MemorySnapshots, RecordingFeed
from tests.support.proofs import share
from tests.support.town import Town

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Works:
    """Two processes with actors over one database, a clock for all, and the jobs that they are to act on."""

    def __init__(self, pools: Pools, superuser: "asyncpg.Connection[Any]", teams: list[TeamSystem], clock: ManualClock):
        self.pools, self.town, self.teams, self.clock = pools, Town(superuser), teams, clock
        self.superuser, self.handled = superuser, 0

    def scheduler(self) -> Scheduler:
        return Scheduler(self.pools.worker, [recurrence()], now=self.clock.now)

    async def team(self, zone: str = "UTC") -> tuple[UUID, UUID]:
        """A team and its owner."""
        owner, team_id = await self.town.user("Olga"), new_id()
        await self.teams[0].ask(team_id, CreateTeam(team_id, "Plants", "PLANT", "Olga", zone), by(owner))
        return team_id, owner

    async def task(self, team_id: UUID, owner: UUID, **fields: Any) -> Task:
        result = await self.teams[0].ask(team_id, CreateTask(TaskFields(title="Water them", **fields)), by(owner))
        return result.items[0].task

    async def pass_time(self, step: timedelta) -> None:
        self.clock.wall += step
        await self.scheduler().round()

    async def jobs(self) -> list[Job]:
        """Those that nobody has acted on yet."""
        async with reading(self.pools.worker, None) as tx:
            rows = await tx.fetch("select payload from outbox order by position offset $1", self.handled)
        self.handled += len(rows)
        return [read_job(row["payload"].encode()) for row in rows]

    async def act(self, *, deliveries: int = 1) -> list[str]:
        """Each job so many times, at both processes at once; what came of it."""
        plans, outcomes = [consumer(self.pools.worker, teams) for teams in self.teams], list[str]()

        async def deliver(number: int, job: Job) -> None:
            plan = plans[number % 2]
            outcomes.append(await plan.handle(plan.name, job))

        async with anyio.create_task_group() as group:
            for job in await self.jobs():
                for number in range(deliveries):
                    group.start_soon(deliver, number, job)
        return outcomes

    async def dues(self, team_id: UUID) -> list[Any]:
        """When the team's tasks are due, by their numbers."""
        rows = await self.superuser.fetch(
            "select due_at, due_on from tasks where team_id = $1 order by number", team_id
        )
        return [row["due_at"] or row["due_on"] for row in rows]


@pytest.fixture
async def works(pools: Pools, superuser: "asyncpg.Connection[Any]") -> AsyncIterator[Works]:
    clock = ManualClock()
    clock.wall = START
    async with AsyncExitStack() as stack:
        teams = [
            await stack.enter_async_context(
                TeamSystem(
                    journal=PostgresJournal(pools),
                    snapshots=MemorySnapshots(),
                    feed=RecordingFeed(),
                    clock=clock,
                    new_id=new_id,
                    settings=ActorSettings(),
                    zones=zone_named,
                ).running()
            )
            for _ in range(2)
        ]
        made = Works(pools, superuser, teams, clock)
        await made.scheduler().round()
        yield made


async def test_the_next_task_is_made_when_the_time_has_come_in_the_teams_zone(works: Works) -> None:
    team, owner = await works.team("Asia/Tokyo")
    task = await works.task(team, owner, due_on=date(2026, 3, 2), recurrence=RecurrenceRule(rule="FREQ=WEEKLY"))
    await works.pass_time(27 * HOUR - MINUTE)
    assert await works.act() == []
    await works.pass_time(2 * MINUTE)
    assert await works.act() == ["applied"]
    assert await works.dues(team) == [date(2026, 3, 2), date(2026, 3, 9)]
    stored = await works.superuser.fetchval("select recurrence ->> 'next_id' from tasks where id = $1", task.id)
    assert stored == str(await works.superuser.fetchval("select id from tasks where number = 2"))
    kinds = await works.superuser.fetch("select type, actor_kind from task_events where actor_kind = 'system'")
    assert [tuple(row) for row in kinds] == [("task.created", "system"), ("task.updated", "system")]
    await works.pass_time(HOUR)
    assert await works.act() == []


async def test_a_job_that_is_delivered_64_times_to_two_processes_makes_one_task(works: Works) -> None:
    team, owner = await works.team()
    await works.task(team, owner, due_at=START + MINUTE, recurrence=RecurrenceRule(rule="FREQ=DAILY"))
    await works.pass_time(2 * MINUTE)
    outcomes = await works.act(deliveries=64)
    assert sorted(outcomes) == ["applied"] + ["passed"] * 63
    assert await works.dues(team) == [START + MINUTE, START + MINUTE + DAY]


async def test_a_task_that_is_finished_has_its_next_one_made_and_once(works: Works) -> None:
    team, owner = await works.team()
    rule = RecurrenceRule(rule="FREQ=WEEKLY;BYDAY=MO", when="done")
    tasks = [await works.task(team, owner, due_on=date(2026, 3, 2), recurrence=rule) for _ in range(4)]
    done, cancelled, archived, late = tasks
    finished: list[tuple[Task, Status]] = [(done, "done"), (cancelled, "cancelled"), (archived, "done")]
    for task, status in finished:
        await works.teams[0].ask(team, MoveTask(task_id=task.id, status=status), by(owner))
    await works.teams[0].ask(team, ArchiveTask(archived.id), by(owner))
    await works.pass_time(30 * MINUTE)
    assert await works.act() == ["applied", "applied"]
    await works.pass_time(60 * DAY)
    assert await works.act() == [], f"{late.id} was never done"
    assert await works.dues(team) == [date(2026, 3, 2)] * 4 + [date(2026, 3, 9)] * 3


async def test_a_series_that_begins_anew_on_the_day_of_the_old_one_goes_on(works: Works) -> None:
    """What was asked for once for this task and this day is asked for once more."""
    team, owner = await works.team()
    task = await works.task(team, owner, due_on=date(2026, 3, 2), recurrence=RecurrenceRule(rule="FREQ=DAILY"))
    await works.pass_time(2 * DAY)
    await works.act()
    following = await works.superuser.fetchval("select id from tasks where number = 2")
    for task_id, rule in ((following, None), (task.id, RecurrenceRule(rule="FREQ=WEEKLY"))):
        await works.teams[0].ask(team, UpdateTask(task_id, TaskPatch(recurrence=rule)), by(owner))
    await works.pass_time(MINUTE)
    assert await works.act() == ["applied"]
    assert await works.dues(team) == [date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 9)]


async def test_a_series_goes_on_once_its_task_is_back_on_the_board(works: Works) -> None:
    """Also where it was asked for, and archived before anybody acted on that."""
    team, owner = await works.team()
    task = await works.task(team, owner, due_on=date(2026, 3, 2), recurrence=RecurrenceRule(rule="FREQ=DAILY"))
    await works.pass_time(2 * DAY)
    await works.teams[0].ask(team, ArchiveTask(task.id), by(owner))
    assert await works.act() == ["passed"]
    await works.teams[0].ask(team, RestoreTask(task.id), by(owner))
    await works.pass_time(MINUTE)
    assert await works.act() == ["applied"]
    assert await works.dues(team) == [date(2026, 3, 2), date(2026, 3, 3)]


async def test_one_next_task_makes_up_for_all_that_were_missed(works: Works) -> None:
    team, owner = await works.team()
    await works.task(team, owner, due_on=date(2026, 3, 2), recurrence=RecurrenceRule(rule="FREQ=DAILY"))
    await works.pass_time(30 * DAY)
    assert await works.act() == ["applied"]
    await works.pass_time(MINUTE)
    assert await works.act() == []
    assert await works.dues(team) == [date(2026, 3, 2), date(2026, 3, 31)]


async def test_a_job_about_a_task_that_is_gone_or_of_others_is_passed_over(works: Works) -> None:
    plan = consumer(works.pools.worker, works.teams[0])
    assert await plan.handle(plan.name, Job(new_id(), "repeat-task", new_id())) == "passed"
    assert await plan.handle(plan.name, Job(new_id(), "operation", new_id())) == "passed"


ZONES = (
    *("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Santiago", "America/St_Johns"),
    *("Australia/Lord_Howe", "Pacific/Auckland", "Asia/Kathmandu", "Asia/Jerusalem", "Africa/Casablanca", "Asia/Tokyo"),
)
HALF_PAST_TWO = time(2, 30)


class Course(NamedTuple):
    """A daily series in a team: when its tasks are due, and at which moments the next ones become due to be made."""

    zone: str
    team: UUID
    dues: Sequence[datetime | date]
    moments: Sequence[datetime]


async def courses(works: Works, days: int) -> list[Course]:
    """For each zone two: one at half past two, which is skipped or doubled here and there, and one of dates."""
    begun, daily = list[Course](), RecurrenceRule(rule="FREQ=DAILY")
    for zone in ZONES:
        changes, dates = pieces(zone, 2025, 2028, DAY), [START.date() + DAY * n for n in range(2, days + 5)]
        moments = [first_showing(datetime.combine(day, HALF_PAST_TWO), changes) for day in dates]
        ends = [first_moment(day + DAY, changes) for day in dates]
        for dues, wanted in ((moments, moments), (dates, ends)):
            team, owner = await works.team(zone)
            field = "due_at" if dues is moments else "due_on"
            await works.task(team, owner, recurrence=daily, **{field: dues[0]})
            begun.append(Course(zone, team, dues, wanted))
    return begun


@pytest.mark.proof
@pytest.mark.timeout(1200)
async def test_twelve_zones_have_a_task_a_day_for_sixty_days(works: Works) -> None:
    """Two schedulers race at each step and are killed at random; jobs are delivered twice, to two processes."""
    chance, days, looks = random.Random(31), share(60), list[datetime]()
    begun, end = await courses(works, days), START + (days + 2) * DAY
    while works.clock.wall < end:
        works.clock.wall += MINUTE * chance.choice([30, 60, 180, 300])
        looks.append(works.clock.wall)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(works.scheduler().round)
            if chance.random() < 0.1:
                await anyio.sleep(chance.random() * 0.01)
                group.cancel_scope.cancel()
        await works.scheduler().round()
        await works.act(deliveries=2)
    for course in begun:
        made = [moment for moment in course.moments if moment <= works.clock.wall]
        tasks = await works.superuser.fetch(
            "select due_at, due_on, created_at from tasks where team_id = $1 order by number",
            course.team,
        )
        assert [one["due_at"] or one["due_on"] for one in tasks] == list(course.dues[: len(made) + 1]), course.zone
        # The clock of tests moves on by a microsecond with each look at it.
        first_looks = [min(look for look in looks if look >= moment) for moment in made]
        late = [one["created_at"] - look for one, look in zip(tasks[1:], first_looks, strict=True)]
        assert all(timedelta() <= one < timedelta(seconds=1) for one in late), f"{course.zone}: not at the first look"
