"""Times in lists: brute force, memory and SQL find the same tasks in the same order, also across teams in other zones.

The teams live where clocks do the strangest things, and their tasks are due around them. Brute force has its own idea
of when a day begins (`tests/support/clocks.py`), and spells the rules of `docs/dates.md` out.
"""

import random
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import structs

from actors.board import TeamView
from core.commands import ArchiveTask, CreateTask, UpdateTeam
from core.query import TIMES, SortKey, TaskQuery
from core.task import STATUSES, Task, TaskFields
from core.windows import When
from core.writes import Committed
from db import readmodel
from db.journal.journal import PostgresJournal
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from tests.support.clocks import DAY, first_moment, pieces
from tests.support.representations import LISTS
from tests.support.team_writer import START, Writer, add_user, new_team

pytestmark = pytest.mark.anyio

CHANGES = {
    "Pacific/Apia": date(2011, 12, 30),  # A day without a moment.
    "America/St_Johns": date(2007, 11, 4),  # Put back over midnight.
    "America/Sao_Paulo": date(2017, 10, 15),  # Midnight skipped.
    "Atlantic/Azores": date(2026, 10, 25),  # Midnight twice.
    "Asia/Kathmandu": date(2026, 3, 1),
    "UTC": date(2026, 3, 1),
}
TICK = timedelta(microseconds=1)


@pytest.fixture(scope="module")
async def pools(module_database: DatabaseSettings) -> AsyncIterator[Pools]:
    async with open_pools(module_database) as pools:
        yield pools


@pytest.fixture(scope="module")
async def owner(pools: Pools) -> UUID:
    return await add_user(pools)


@pytest.fixture(scope="module")
async def teams(pools: Pools, owner: UUID) -> dict[str, Writer]:
    journal, dice = PostgresJournal(pools), random.Random(5)
    return {zone: await a_team(journal, owner, dice, zone, number) for number, zone in enumerate(CHANGES)}


async def a_team(journal: PostgresJournal, owner: UUID, dice: random.Random, zone: str, number: int) -> Writer:
    writer = await new_team(journal, owner, key=f"Z{number}")
    writer.ticks = dice.randrange(200_000)
    assert await writer.commit(journal, UpdateTeam(time_zone=zone)) == Committed()
    for _ in range(30):
        writer.ticks += dice.randrange(7_200)
        assert await writer.commit(journal, a_task(dice, zone)) == Committed()
    tasks = list(writer.state.tasks.values())
    await writer.commit(journal, *(ArchiveTask(task.id) for task in dice.sample(tasks, 8)))
    return writer


def a_task(dice: random.Random, zone: str) -> CreateTask:
    kind, day = dice.choice(["at", "on", "on", "never"]), CHANGES[zone] + DAY * dice.randrange(-2, 3)
    at = begin(day, zone) + dice.choice([-TICK, TICK * 0, TICK, timedelta(minutes=dice.randrange(-90, 90))])
    return CreateTask(
        TaskFields(
            title="t",
            status=dice.choice(STATUSES),
            due_at=at if kind == "at" else None,
            due_on=day if kind == "on" else None,
        )
    )


def begin(day: date, zone: str) -> datetime:
    return first_moment(day, pieces(zone, 2005, 2028, DAY))


def is_before(task: Task, moment: datetime | None, when: When, zone: str) -> bool:
    """Whether an instant of a task lies before a date's beginning, or before an instant."""
    assert moment is not None
    return moment < (when if isinstance(when, datetime) else begin(when, zone))


def is_due_before(task: Task, when: When, zone: str) -> bool:
    if task.due_on is None:
        return is_before(task, task.due_at, when, zone)
    return begin(task.due_on + DAY, zone) <= when if isinstance(when, datetime) else task.due_on < when


def fits(task: Task, zone: str, name: str, when: Any, now: datetime) -> bool:
    """Whether a task satisfies one condition, as `docs/dates.md` says."""
    due = task.due_at is not None or task.due_on is not None
    if name == "overdue":
        late = due and task.status not in {"done", "cancelled"} and task.archived_at is None
        return (late and is_due_before(task, now, zone)) == when
    if name == "due_on":
        following = when + (TICK if isinstance(when, datetime) else DAY)
        return due and not is_due_before(task, when, zone) and is_due_before(task, following, zone)
    field, _, side = name.rpartition("_")
    if field == "due":
        return due and is_due_before(task, when, zone) == (side == "before")
    moment = getattr(task, f"{field}_at")
    return moment is not None and is_before(task, moment, when, zone) == (side == "before")


def place(task: Task, zone: str) -> SortKey:
    """Where a task stands by `due_at`, ascending."""
    moment = task.due_at if task.due_on is None else begin(task.due_on + DAY, zone) - TICK
    return (moment is None, moment or 0, task.id)


def conditions(dice: random.Random) -> Iterator[dict[str, Any]]:
    """Each filter with dates and with instants near the changes, and some together."""
    for name in TIMES:
        for zone, day in CHANGES.items():
            here = START.date() if not name.startswith("due") else day
            some = here + DAY * dice.randrange(-1, 3)
            yield {name: some}
            yield {name: begin(some, zone) + dice.choice([-TICK, TICK * 0, TICK])}
    for zone, day in CHANGES.items():
        for overdue in (True, False):
            yield {"overdue": overdue, "now": begin(day + DAY, zone) + dice.choice([-TICK, TICK * 0, TICK])}
        yield {"due_after": day, "due_before": day + DAY, "overdue": True, "now": begin(day + DAY * 2, zone)}


def expected(writers: dict[str, Writer], query: TaskQuery, given: dict[str, Any]) -> list[UUID]:
    now = given.get("now", START)
    found = [
        place(task, zone)
        for zone, writer in writers.items()
        for task in (writer.state.archived if query.archived else writer.state.tasks.as_dict()).values()
        if all(fits(task, zone, name, when, now) for name, when in given.items() if name != "now")
    ]
    keys = sorted(found, reverse=query.descending)
    return [key[2] for key in (*(k for k in keys if not k[0]), *(k for k in keys if k[0]))]


async def by_sql(pools: Pools, owner: UUID, query: TaskQuery, team_id: UUID | None = None) -> list[UUID]:
    found: list[UUID] = []
    while True:
        page = await readmodel.list_tasks(pools.api, owner, query, team_id=team_id)
        found += [task.id for task in page.tasks]
        if page.last is None:
            return found
        query = structs.replace(query, after=page.last)


def from_memory(writer: Writer, query: TaskQuery, now: datetime) -> list[UUID]:
    view = TeamView(writer.state)
    items = msgspec.json.decode(view.page(view.resolved(query, now), LISTS))["items"]
    return [UUID(task["id"]) for task in items]


@pytest.mark.parametrize(("archived", "descending"), [(False, False), (True, True)])
async def test_sql_finds_what_brute_force_finds_across_teams_in_other_zones(
    pools: Pools, owner: UUID, teams: dict[str, Writer], archived: bool, descending: bool
) -> None:
    some = 0
    for given in conditions(random.Random(f"{archived}{descending}")):
        query = TaskQuery(**given, archived=archived, sort="due_at", descending=descending, limit=17)
        wanted = expected(teams, query, given)
        assert await by_sql(pools, owner, query) == wanted, given
        some += len(wanted) > 0
    assert some > 40, "most conditions find something"


async def test_sql_and_memory_agree_about_each_team(pools: Pools, owner: UUID, teams: dict[str, Writer]) -> None:
    for zone, writer in teams.items():
        for given in conditions(random.Random(zone)):
            query = TaskQuery(**given, sort="due_at", descending=False, limit=100)
            wanted = expected({zone: writer}, query, given)
            assert await by_sql(pools, owner, query, writer.team_id) == wanted, (zone, given)
            assert from_memory(writer, query, given.get("now", START)) == wanted, (zone, given)


async def test_words_are_found_in_the_order_of_due_dates(pools: Pools, owner: UUID, teams: dict[str, Writer]) -> None:
    query = TaskQuery(q="T", sort="due_at", descending=False, overdue=False, now=START, limit=11)
    assert await by_sql(pools, owner, query) == expected(teams, query, {"overdue": False, "now": START})


async def test_whoever_is_in_no_team_finds_nothing(pools: Pools, teams: dict[str, Writer]) -> None:
    stranger = await add_user(pools, "Eve")
    for query in (TaskQuery(overdue=True, now=START), TaskQuery(due_on=START.date()), TaskQuery(sort="due_at")):
        assert await by_sql(pools, stranger, query) == []
