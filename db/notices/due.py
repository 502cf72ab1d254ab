"""Whose tasks are due soon or overdue, for the schedule that says so. For the worker's role, which sees all teams.

A task is told of once for each of its due dates: `occurrence` names the date, so that one that moves counts anew.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.mornings import LocalHour
from core.notices import NoticeKind
from core.windows import FINISHED
from db.digests import Morning
from db.notices.notify import Collecting, Notice, notify
from db.transaction import Reading, Writing

__all__ = ["DueTask", "notify_due", "tasks_after", "tasks_before", "tasks_due_at", "tasks_of"]


class DueTask(Struct, frozen=True):
    """A task with an assignee and a date, not finished. `zone` is its team's and `reader_zone` the assignee's.

    `morning` is the hour of the assignee's day at which they get what comes once a day.
    """

    team_id: UUID
    id: UUID
    key: str
    title: str
    assignee_id: UUID
    due_at: datetime | None
    due_on: date | None
    zone: str
    reader_zone: str
    morning: int

    @property
    def due(self) -> str:
        """Its date or instant as text, which no other due date of the task has."""
        return (self.due_at or self.due_on or date.max).isoformat()


async def tasks_due_at(tx: Reading, after: datetime, until: datetime) -> Sequence[DueTask]:
    """Those that are due at an instant later than `after`, up to and including `until`."""
    return [DueTask(**row) for row in await tx.fetch(_DUE_AT, after, until, list(FINISHED))]


async def tasks_before(tx: Reading, mornings: Sequence[LocalHour]) -> Sequence[DueTask]:
    """Those that are due on the date after one of these mornings, which is their assignee's by zone and hour."""
    zones, days, hours = _columns(mornings)
    return [DueTask(**row) for row in await tx.fetch(_DUE_BEFORE, zones, days, list(FINISHED), hours)]


async def tasks_after(tx: Reading, days: Sequence[LocalHour]) -> Sequence[DueTask]:
    """Those that are due on the date before one of these days, which begins in the zone of their team."""
    zones, dates, _ = _columns(days)
    return [DueTask(**row) for row in await tx.fetch(_DUE_AFTER, zones, dates, list(FINISHED))]


async def tasks_of(tx: Reading, mornings: Sequence[Morning]) -> Sequence[DueTask]:
    """Those of these users that are due on the date after their morning."""
    users, days = [one.user_id for one in mornings], [one.day for one in mornings]
    return [DueTask(**row) for row in await tx.fetch(_DUE_OF, users, days, list(FINISHED))]


def _columns(hours: Sequence[LocalHour]) -> tuple[list[str], list[date], list[int]]:
    return [one.zone for one in hours], [one.day for one in hours], [one.hour for one in hours]


async def notify_due(
    tx: Writing, task: DueTask, kind: NoticeKind, at: datetime, *, now: datetime, collecting: Collecting
) -> bool:
    """Tell the assignee; False as `notify`. `at` is when it came to be so."""
    notice = Notice(
        team_id=task.team_id,
        event_id=f"{task.id}:due:{task.due}",
        subject_id=task.id,
        at=at,
        data={"key": task.key, "title": task.title, "due": task.due},
        task_id=task.id,
    )
    return await notify(tx, task.assignee_id, kind, notice, now=now, collecting=collecting)


_DUE: Final = """
select t.team_id, t.id, g.key || '-' || t.number as key, t.title, t.assignee_id, t.due_at, t.due_on,
       g.time_zone as zone, u.time_zone as reader_zone, u.digest_hour::integer as morning
from tasks t
join teams g on g.id = t.team_id
join users u on u.id = t.assignee_id
"""
_OPEN: Final = "t.archived_at is null and t.status <> all ($3::text[])"
_DUE_AT: Final = f"{_DUE} where {_OPEN} and t.due_at > $1 and t.due_at <= $2 order by t.due_at, t.id"
# Of hundreds of zones there are two or three dates: by those the tasks are found, and not anew for each zone.
_DUE_BEFORE: Final = f"""{_DUE}
join unnest($1::text[], $2::date[], $4::smallint[]) d (zone, day, hour)
  on d.zone = u.time_zone and d.hour = u.digest_hour and t.due_on = d.day + 1
where {_OPEN} and t.due_on = any (array(select distinct day + 1 from unnest($2::date[]) day))
"""  # noqa: S608 (a text of our own)
_DUE_AFTER: Final = f"""{_DUE}
join unnest($1::text[], $2::date[]) d (zone, day) on d.zone = g.time_zone and t.due_on = d.day - 1
where {_OPEN} and t.due_on = any (array(select distinct day - 1 from unnest($2::date[]) day))
"""  # noqa: S608 (a text of our own)
_DUE_OF: Final = f"""{_DUE}
join unnest($1::uuid[], $2::date[]) d (user_id, day) on d.user_id = t.assignee_id and t.due_on = d.day + 1
where {_OPEN}
"""
