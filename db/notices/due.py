"""Whose tasks are due soon or overdue, for the schedule that says so. For the worker's role, which sees all teams.

A task is told of once for each of its due dates: `occurrence` names the date, so that one that moves counts anew.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.notices import NoticeKind
from core.windows import FINISHED
from db.notices.notify import Collecting, Notice, notify
from db.transaction import Reading, Writing

__all__ = ["DueTask", "notify_due", "tasks_due_at", "tasks_due_on"]


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


async def tasks_due_on(tx: Reading, first: date, last: date) -> Sequence[DueTask]:
    """Those that are due on a date from `first` to `last`."""
    return [DueTask(**row) for row in await tx.fetch(_DUE_ON, first, last, list(FINISHED))]


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
where t.archived_at is null and t.status <> all ($3::text[])
"""
_DUE_AT: Final = f"{_DUE} and t.due_at > $1 and t.due_at <= $2 order by t.due_at, t.id"
_DUE_ON: Final = f"{_DUE} and t.due_on between $1 and $2 order by t.due_on, t.id"
