"""Who is late with what: for each assignee the number of overdue tasks and the first of them.

Two window functions over one set of rows: `count(*) over (partition by …)` says how many an assignee has, and
`row_number() over (partition by … order by …)` numbers them, so that only the first few are answered. `dense_rank()`
numbers the assignees themselves, which makes the page.

What is overdue is found through two indexes, that of `due_at` and that of `due_on`, whose rows a bitmap puts together.
"""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from core.calendar import day_of, due_moment
from core.task import Task
from core.windows import FINISHED
from db.journal.rows import task_of
from db.journal.sql import TASK_SELECT
from db.pool import Pool
from db.transaction import Reading, reading
from db.zones import zone_named

__all__ = ["Late", "OverdueReport", "read_overdue"]

_ZONE: Final = """
select g.time_zone from teams g join memberships m on m.team_id = g.id and m.user_id = $1 where g.id = $2
"""
_DAYS: Final = """
select distinct t.due_on
from tasks t
join memberships m on m.team_id = t.team_id and m.user_id = $1
where t.team_id = $2 and t.due_on < $3
"""
_OVERDUE: Final = f"""
with late as (
    select {TASK_SELECT}, g.key as team_key, coalesce(t.due_at, d.moment) as moment
    from tasks t
    join memberships m on m.team_id = t.team_id and m.user_id = $1
    join teams g on g.id = t.team_id
    left join unnest($5::date[], $6::timestamptz[]) as d(day, moment) on d.day = t.due_on
    where t.team_id = $2
      and t.archived_at is null
      and t.status <> all ($7::text[])
      and (t.due_at < $3 or t.due_on < $4)
), counted as (
    select late.*,
           count(*) over () as total,
           count(*) over (partition by assignee_id) as of_assignee,
           row_number() over (partition by assignee_id order by moment, id) as place
    from late
), paged as (
    select counted.*, dense_rank() over (order by assignee_id) as assignee
    from counted
    where place <= greatest($8, 1) and assignee_id > $9
)
select * from paged where assignee <= $10
union all
select counted.*, 0 from counted where place <= greatest($8, 1) and assignee_id is null
order by assignee, place
"""  # noqa: S608 (column names of our own)
_TOTAL: Final = """
select count(*)
from tasks t
join memberships m on m.team_id = t.team_id and m.user_id = $1
where t.team_id = $2
  and t.archived_at is null
  and t.status <> all ($5::text[])
  and (t.due_at < $3 or t.due_on < $4)
"""
NOBODY_YET: Final = UUID(int=0)
"""Before every assignee."""


class Late(Struct, frozen=True):
    """How many tasks of an assignee (None: of nobody) are overdue, and the first of them, longest overdue first."""

    assignee_id: UUID | None
    count: int
    tasks: Sequence[Task]


class OverdueReport(Struct, frozen=True):
    """`total` counts all of the team's, `unassigned` those of nobody; `late` is the page, by the assignees' ids."""

    total: int
    unassigned: Late
    late: Sequence[Late]


async def read_overdue(
    pool: Pool, user_id: UUID, team_id: UUID, now: datetime, *, after: UUID | None, limit: int, tasks: int
) -> OverdueReport:
    """What is overdue in a team of the user's at `now`: `limit` assignees after the id `after`, `tasks` of each.

    Another's team has none. Raises StorageUnavailable.
    """
    async with reading(pool, user_id, snapshot=True) as rows:
        zone = await rows.fetchval(_ZONE, user_id, team_id)
        if zone is None:
            return OverdueReport(0, Late(None, 0, ()), ())
        today = day_of(now, zone_named(zone))
        days, moments = await _due_days(rows, user_id, team_id, zone, today)
        finished = list(FINISHED)
        found = await rows.fetch(
            _OVERDUE, user_id, team_id, now, today, days, moments, finished, tasks, after or NOBODY_YET, limit
        )
        total = found[0]["total"] if found else await rows.fetchval(_TOTAL, user_id, team_id, now, today, finished)
    groups = [_late(list(group), tasks) for _, group in groupby(found, key=lambda row: row["assignee_id"])]
    unassigned = next((one for one in groups if one.assignee_id is None), Late(None, 0, ()))
    return OverdueReport(total, unassigned, [one for one in groups if one.assignee_id is not None])


async def _due_days(
    rows: Reading, user_id: UUID, team_id: UUID, zone: str, today: date
) -> tuple[list[date], list[datetime | None]]:
    """The dates on which something is or was due before today, and the last moment of each."""
    found = [row["due_on"] for row in await rows.fetch(_DAYS, user_id, team_id, today)]
    return found, [due_moment(None, day, zone_named(zone)) for day in found]


def _late(rows: Sequence[asyncpg.Record], most: int) -> Late:
    """There is a row for every assignee, also where no task of theirs is wanted."""
    first = rows[0]
    return Late(first["assignee_id"], first["of_assignee"], [task_of(row, row["team_key"]) for row in rows[:most]])
