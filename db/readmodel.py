"""Reads by SQL for a user. Every function demands whose eyes it reads with; row security is the second wall."""

from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from core.codec import JournalRow
from core.events import Team
from core.permissions import Role
from core.query import SortKey, TaskQuery, sort_key
from core.task import Task
from core.writes import JournalPosition
from db.journal.rows import journal_row, task_of, team_of
from db.journal.sql import EVENT_SELECT, TASK_SELECT
from db.pool import Pool
from db.search_documents import find_unwritten
from db.task_query import select_tasks
from db.transaction import reading
from db.zones import due_days_of, zone_named, zones_of

__all__ = [
    "MyTeam",
    "StaleName",
    "TaskPage",
    "events_after",
    "list_tasks",
    "my_teams",
    "stored_task",
    "task_activity",
    "task_by_number",
    "task_location",
    "team_of_deleted_task",
    "team_position",
    "teams_with_another_name",
]

_MEMBER: Final = "join memberships m on m.team_id = t.team_id and m.user_id = $1"
_TASK: Final = " ".join(
    ("select", TASK_SELECT, ", g.key as team_key from tasks t", _MEMBER, "join teams g on g.id = t.team_id")
)
_EVENT: Final = (
    f"select {EVENT_SELECT} from task_events e"  # noqa: S608 (column names of our own)
    " join memberships m on m.team_id = e.team_id and m.user_id = $1"
)


class MyTeam(Struct, frozen=True):
    """A team and the user's role in it."""

    team: Team
    role: Role


class StaleName(Struct, frozen=True):
    """The name of a user's account, and the teams that show another one."""

    name: str
    team_ids: list[UUID]


class TaskPage(Struct, frozen=True):
    """A page of tasks; `last` is the sort key of the last one when there are more."""

    tasks: list[Task]
    last: SortKey | None


async def my_teams(
    pool: Pool, user_id: UUID, *, only: UUID | None = None, after: UUID | None = None, limit: int
) -> list[MyTeam]:
    """Teams the user is a member of (no other than `only`, when given), by id; those after the team `after`."""
    async with reading(pool, user_id) as rows:
        found = await rows.fetch(
            "select t.id, t.name, t.key, t.wip, t.time_zone, t.created_by, t.created_at, t.updated_at,"
            " t.version, m.role"
            " from memberships m join teams t on t.id = m.team_id"
            " where m.user_id = $1 and ($2::uuid is null or m.team_id > $2) and ($4::uuid is null or m.team_id = $4)"
            " order by m.team_id limit $3",
            user_id,
            after,
            limit,
            only,
        )
    return [MyTeam(team_of(row), row["role"]) for row in found]


async def teams_with_another_name(pool: Pool, user_id: UUID) -> StaleName:
    """The user's teams whose member list does not show the name of the account, at most 100."""
    async with reading(pool, user_id) as rows:
        found = await rows.fetch(
            "select u.name, m.team_id from users u join memberships m on m.user_id = u.id and m.name <> u.name"
            " where u.id = $1 order by m.team_id limit 100",
            user_id,
        )
    return StaleName(found[0]["name"] if found else "", [row["team_id"] for row in found])


async def team_position(pool: Pool, user_id: UUID, team_id: UUID) -> JournalPosition | None:
    """Where the team's journal is; None for a team that is not the user's, as for one that does not exist."""
    async with reading(pool, user_id) as rows:
        row = await rows.fetchrow(
            "select t.seq, t.epoch from teams t join memberships m on m.team_id = t.id and m.user_id = $1"
            " where t.id = $2",
            user_id,
            team_id,
        )
    return None if row is None else JournalPosition(row["seq"], row["epoch"])


async def list_tasks(pool: Pool, user_id: UUID, query: TaskQuery, *, team_id: UUID | None = None) -> TaskPage:
    """A page of one team's tasks, or of those of all the user's teams: archived or not, as the query says."""
    by_due = query.sort == "due_at"
    async with reading(pool, user_id, snapshot=query.timed or by_due or query.q is not None) as rows:
        zones = await zones_of(rows, user_id, team_id) if query.timed else {}
        if query.timed and not zones:
            return TaskPage([], None)
        days = await due_days_of(rows, user_id, team_id, archived=query.archived) if by_due else {}
        unwritten = () if query.q is None else await find_unwritten(rows, user_id, query, team_id, zones)
        statement, arguments = select_tasks(user_id, query, team_id, zones, days, unwritten)
        found = await rows.fetch(statement, *arguments)
    tasks = [_task(row) for row in found[: query.limit]]
    if len(found) <= query.limit or not tasks:
        return TaskPage(tasks, None)
    return TaskPage(tasks, sort_key(tasks[-1], query.sort, zone_named(found[len(tasks) - 1]["time_zone"])))


async def task_location(pool: Pool, user_id: UUID, task_id: UUID) -> UUID | None:
    """The team, among the user's, that has this task; archived ones are found too."""
    async with reading(pool, user_id) as rows:
        team_id: UUID | None = await rows.fetchval(
            "select t.team_id from tasks t join memberships m on m.team_id = t.team_id and m.user_id = $1"
            " where t.id = $2",
            user_id,
            task_id,
        )
    return team_id


async def team_of_deleted_task(pool: Pool, user_id: UUID, task_id: UUID) -> UUID | None:
    """The team, among the user's, that had this task before it was deleted for good: its journal says so."""
    async with reading(pool, user_id) as rows:
        team_id: UUID | None = await rows.fetchval(
            "select e.team_id from memberships m"
            " join task_events e on e.team_id = m.team_id and e.subject_id = $2 and e.type = 'task.deleted'"
            " where m.user_id = $1 limit 1",
            user_id,
            task_id,
        )
    return team_id


async def stored_task(pool: Pool, user_id: UUID, team_id: UUID, task_id: UUID) -> Task | None:
    """The task as it was last committed, archived or not."""
    async with reading(pool, user_id) as rows:
        row = await rows.fetchrow(f"{_TASK} where t.team_id = $2 and t.id = $3", user_id, team_id, task_id)
    return None if row is None else _task(row)


async def task_by_number(pool: Pool, user_id: UUID, team_id: UUID, number: int) -> Task | None:
    """The task with this human number, archived or not."""
    async with reading(pool, user_id) as rows:
        row = await rows.fetchrow(f"{_TASK} where t.team_id = $2 and t.number = $3", user_id, team_id, number)
    return None if row is None else _task(row)


async def task_activity(
    pool: Pool, user_id: UUID, team_id: UUID, task_id: UUID, *, before: int | None = None, limit: int
) -> list[JournalRow]:
    """The task's own events, newest first; those with a `seq` below `before`."""
    async with reading(pool, user_id) as rows:
        found = await rows.fetch(
            f"{_EVENT} where e.team_id = $2 and e.subject_id = $3 and ($4::bigint is null or e.seq < $4)"
            " order by e.seq desc limit $5",
            user_id,
            team_id,
            task_id,
            before,
            limit,
        )
    return list(map(journal_row, found))


async def events_after(pool: Pool, user_id: UUID, team_id: UUID, after: int, limit: int) -> list[JournalRow]:
    """The team's events with `seq > after`, in order."""
    async with reading(pool, user_id) as rows:
        found = await rows.fetch(
            f"{_EVENT} where e.team_id = $2 and e.seq > $3 order by e.seq limit $4", user_id, team_id, after, limit
        )
    return list(map(journal_row, found))


def _task(row: asyncpg.Record) -> Task:
    return task_of(row, row["team_key"])
