"""What `db/insights` says of a team is what counting by hand says, and is said to its members alone."""

import random
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import uuid_utils.compat as uu

from core.calendar import day_start, due_moment
from core.commands import AddMember, AnyCommand, ArchiveTask, CreateTask, UpdateTask, UpdateTeam
from core.query import TaskQuery
from core.task import STATUSES, Task, TaskFields, TaskPatch
from core.writes import Committed
from db.insights.overdue import Late, read_overdue
from db.insights.stats import read_stats
from db.journal.journal import PostgresJournal
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from tests.support.team_writer import START, Writer, add_user, new_team

pytestmark = pytest.mark.anyio

NAME = "America/Sao_Paulo"
ZONE = ZoneInfo(NAME)
NOW = START + timedelta(days=40)
WEEK = timedelta(weeks=1)


@pytest.fixture(scope="module")
async def pools(module_database: DatabaseSettings) -> AsyncIterator[Pools]:
    async with open_pools(module_database) as pools:
        yield pools


@pytest.fixture(scope="module")
async def writer(pools: Pools) -> Writer:
    """A team of 150 tasks made over six weeks, some done, some archived, of five people and of nobody."""
    journal, dice = PostgresJournal(pools), random.Random(3)
    writer = await new_team(journal, await add_user(pools))
    people = [await add_user(pools, f"P{number}") for number in range(4)]
    commands: list[AnyCommand] = [UpdateTeam(time_zone=NAME), *(AddMember(one, "P", "member") for one in people)]
    assert await writer.commit(journal, *commands) == Committed()
    for _ in range(150):
        writer.ticks += dice.randrange(40_000)
        assert await writer.commit(journal, a_task(dice, [None, writer.owner, *people])) == Committed()
    for task in dice.sample(list(writer.state.tasks.values()), 60):
        writer.ticks += dice.randrange(5_000)
        await writer.commit(journal, UpdateTask(task.id, TaskPatch(status=dice.choice(STATUSES))))
    await writer.commit(journal, *(ArchiveTask(one.id) for one in dice.sample(list(writer.state.tasks.values()), 30)))
    return writer


def a_task(dice: random.Random, assignees: Sequence[UUID | None]) -> CreateTask:
    days, kind = timedelta(days=dice.randrange(20, 60)), dice.choice(["at", "on", "never"])
    return CreateTask(
        TaskFields(
            title="t",
            status=dice.choice(STATUSES),
            assignee_id=dice.choice(assignees),
            due_at=START + days if kind == "at" else None,
            due_on=(START + days).date() if kind == "on" else None,
        )
    )


def late_of(writer: Writer, assignee: UUID | None) -> list[Task]:
    query = TaskQuery(overdue=True, now=NOW, zone=ZONE)
    late = [one for one in writer.state.tasks.values() if query.matches(one) and one.assignee_id == assignee]
    return sorted(late, key=lambda one: (due_moment(one.due_at, one.due_on, ZONE) or NOW, one.id))


async def test_everybody_is_late_with_what_the_list_says(pools: Pools, writer: Writer) -> None:
    report = await read_overdue(pools.api, writer.owner, writer.team_id, NOW, after=None, limit=100, tasks=3)
    people = sorted({task.assignee_id for task in writer.state.tasks.values() if task.assignee_id is not None})
    expected = [(one, late_of(writer, one)) for one in people]
    assert [(one.assignee_id, one.count, list(one.tasks)) for one in report.late] == [
        (one, len(late), late[:3]) for one, late in expected if late
    ]
    assert len(report.late) > 3
    nobody = late_of(writer, None)
    assert report.unassigned == Late(None, len(nobody), nobody[:3])
    assert report.total == len(nobody) + sum(len(late) for _, late in expected)


async def test_pages_of_assignees_join_and_each_has_those_of_nobody(pools: Pools, writer: Writer) -> None:
    whole = await read_overdue(pools.api, writer.owner, writer.team_id, NOW, after=None, limit=100, tasks=2)
    seen: list[Late] = []
    while True:
        after = seen[-1].assignee_id if seen else None
        page = await read_overdue(pools.api, writer.owner, writer.team_id, NOW, after=after, limit=2, tasks=2)
        assert page.total == whole.total
        assert page.unassigned == whole.unassigned
        if not page.late:
            break
        assert len(page.late) <= 2
        seen += page.late
    assert seen == list(whole.late)


async def test_before_anything_was_due_nobody_is_late(pools: Pools, writer: Writer) -> None:
    report = await read_overdue(pools.api, writer.owner, writer.team_id, START, after=None, limit=9, tasks=2)
    assert (report.total, report.unassigned, list(report.late)) == (0, Late(None, 0, ()), [])


def everything(writer: Writer) -> list[Task]:
    return [*writer.state.tasks.values(), *writer.state.archived.values()]


async def test_numbers_are_those_of_counting_by_hand(pools: Pools, writer: Writer) -> None:
    since, until = START + timedelta(days=5, hours=3), START + timedelta(days=33)
    monday = since.astimezone(ZONE).date() - timedelta(days=since.astimezone(ZONE).weekday())
    mondays = [monday + WEEK * number for number in range(5)]
    begins = [day_start(day, ZONE) for day in mondays]
    stats = await read_stats(pools.api, writer.owner, writer.team_id, since, until, begins)

    def week_of(moment: datetime | None) -> int | None:
        if moment is None or not since <= moment < until:
            return None
        day = moment.astimezone(ZONE).date()
        return (day - monday).days // 7

    created = Counter(week_of(task.created_at) for task in everything(writer))
    done = [task for task in everything(writer) if week_of(task.completed_at) is not None]
    completed = Counter(week_of(task.completed_at) for task in done)
    assert [(week.created, week.completed) for week in stats.weeks] == [(created[n], completed[n]) for n in range(5)]
    assert len(done) > 10

    seconds = [(task.completed_at - task.created_at).total_seconds() for task in done if task.completed_at]
    assert stats.everybody.completed == len(done)
    assert stats.everybody.median == pytest.approx(statistics.median(seconds))
    assert stats.everybody.p90 == pytest.approx(statistics.quantiles(seconds, n=10, method="inclusive")[8])
    assert {one: time.completed for one, time in stats.by_assignee.items()} == Counter(one.assignee_id for one in done)

    board = list(writer.state.tasks.values())
    assert stats.workload.by_status == Counter(task.status for task in board)
    assert stats.workload.by_column == Counter(task.column_id for task in board)
    still_open = Counter(task.assignee_id for task in board if task.status not in {"done", "cancelled"})
    assert {one: number for one, number in stats.workload.by_assignee.items() if number} == still_open


async def test_others_are_told_of_nothing(pools: Pools, writer: Writer) -> None:
    stranger = await add_user(pools, "Eve")
    for team_id in (writer.team_id, uu.uuid7()):
        report = await read_overdue(pools.api, stranger, team_id, NOW, after=None, limit=9, tasks=2)
        assert report.total == 0
        stats = await read_stats(pools.api, stranger, team_id, START, NOW, [datetime(2026, 1, 1, tzinfo=UTC)])
        assert (stats.weeks[0].created, stats.everybody.completed, stats.workload.by_status) == (0, 0, {})
