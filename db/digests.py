"""Who has overdue tasks, and which, for the mails of the morning. For the worker's role, which sees all teams.

What is due on a date is judged in the team's zone, as everywhere (`core/calendar.py`); whose morning it is, in the
user's.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.mornings import LocalHour
from core.windows import FINISHED
from db.transaction import Reading
from db.zones import todays_in

__all__ = ["LateTask", "Morning", "late_among", "late_tasks_of", "late_users"]


class Morning(Struct, frozen=True):
    """It has become morning for a user, on this date of theirs."""

    user_id: UUID
    day: date


class LateTask(Struct, frozen=True):
    """A task that is overdue. `due_at` is an instant, `due_on` a date; one of them is there."""

    team_id: UUID
    id: UUID
    team: str
    time_zone: str
    key: str
    title: str
    due_at: datetime | None
    due_on: date | None


async def late_users(
    tx: Reading, schedule: str, hours: Sequence[LocalHour], now: datetime, limit: int
) -> Sequence[Morning]:
    """At most `limit` users whose morning is one of `hours` and to whom a task is overdue at `now`.

    Of several dates of one hour in one zone it is the latest. Only those without a mark of the schedule for it yet, who
    want a digest and have proven their address, since nobody else's mailbox is to be filled.
    """
    latest = {(hour.zone, hour.hour): hour for hour in sorted(hours, key=lambda hour: hour.day)}
    zones, days, of_day = zip(*latest.values(), strict=True) if latest else ((), (), ())
    return await _late(tx, _LATE_BY_HOUR, schedule, now, limit, zones, days, of_day)


async def late_among(
    tx: Reading, schedule: str, mornings: Sequence[Morning], now: datetime, limit: int
) -> Sequence[Morning]:
    """The same of users who are named, each with their morning."""
    users, days = [one.user_id for one in mornings], [one.day for one in mornings]
    return await _late(tx, _LATE_BY_USER, schedule, now, limit, users, days)


async def _late(
    tx: Reading, query: str, schedule: str, now: datetime, limit: int, *whom: Sequence[object]
) -> Sequence[Morning]:
    zones, todays = await _todays(tx, now)
    given = [list(column) for column in whom]
    rows = await tx.fetch(query, schedule, zones, todays, now, list(FINISHED), limit, *given)
    return [Morning(**row) for row in rows]


async def late_tasks_of(tx: Reading, user_id: UUID, now: datetime, limit: int) -> tuple[int, Sequence[LateTask]]:
    """How many tasks of the user's are overdue at `now` in all their teams, and the first of them, by team and date."""
    zones, todays = await _todays(tx, now)
    rows = await tx.fetch(_LATE_TASKS, user_id, zones, todays, now, list(FINISHED), limit)
    tasks = [LateTask(**{name: row[name] for name in LateTask.__struct_fields__}) for row in rows]
    return rows[0]["total"] if rows else 0, tasks


async def _todays(tx: Reading, now: datetime) -> tuple[list[str], list[date]]:
    """The zones of all teams, and which day it is there."""
    zones = [row["time_zone"] for row in await tx.fetch(_ZONES)]
    return zones, todays_in(zones, now)


_ZONES: Final = "select distinct time_zone from teams"
# What is overdue to the user `u.id`, in teams that they are members of today.
_LATE: Final = """
from memberships m
join teams g on g.id = m.team_id
join unnest($2::text[], $3::date[]) z (zone, today) on z.zone = g.time_zone
join tasks t on t.team_id = m.team_id and t.assignee_id = m.user_id
where m.user_id = u.id and t.archived_at is null and t.status <> all ($5::text[])
  and (t.due_at < $4 or t.due_on < z.today)
"""
_IS_LATE: Final = f"""
where u.erased_at is null and u.email_verified_at is not null and u.mail_digest
  and not exists (
      select from schedule_marks k
      where k.schedule = $1 and k.subject_id = u.id and k.occurrence = to_char(d.day, 'YYYY-MM-DD')
  )
  and exists (select {_LATE})
order by u.id limit $6
"""
_LATE_BY_HOUR: Final = f"""
select u.id as user_id, d.day
from unnest($7::text[], $8::date[], $9::smallint[]) d (zone, day, hour)
join users u on u.time_zone = d.zone and u.digest_hour = d.hour
{_IS_LATE}"""  # noqa: S608 (a text of our own)
_LATE_BY_USER: Final = f"""
select u.id as user_id, d.day
from unnest($7::uuid[], $8::date[]) d (user_id, day)
join users u on u.id = d.user_id
{_IS_LATE}"""  # noqa: S608 (a text of our own)
_LATE_TASKS: Final = """
select t.team_id, t.id, g.name as team, g.time_zone, g.key || '-' || t.number as key, t.title, t.due_at, t.due_on,
       count(*) over () as total
from memberships m
join teams g on g.id = m.team_id
join unnest($2::text[], $3::date[]) z (zone, today) on z.zone = g.time_zone
join tasks t on t.team_id = m.team_id and t.assignee_id = m.user_id
where m.user_id = $1 and t.archived_at is null and t.status <> all ($5::text[])
  and (t.due_at < $4 or t.due_on < z.today)
order by g.name, g.id, t.due_on, t.due_at, t.number limit $6
"""
