"""Which tasks have to pass their series on: found by partial indexes, judged in the zones of their teams.

For the worker's role, which sees all teams.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from db.schedules import Mark
from db.transaction import Reading
from db.zones import todays_in

__all__ = ["PURPOSE", "Bearer", "find_bearer", "to_pass_on"]

PURPOSE: Final = "repeat-task"
"""What a record of `taskforge.jobs.v1` says it is for; its subject is the task."""


class Bearer(NamedTuple):
    """Where a task is, and in whose name its series goes on."""

    team_id: UUID
    created_by: UUID


async def to_pass_on(tx: Reading, schedule: str, now: datetime, limit: int) -> Sequence[Mark]:
    """At most `limit` tasks of boards whose time has come at `now`, without a mark of the schedule for that time."""
    zones = [row["time_zone"] for row in await tx.fetch(_ZONES)]
    rows = await tx.fetch(_BEARERS, schedule, now, zones, todays_in(zones, now), limit)
    return [Mark(row["id"], row["occurrence"]) for row in rows]


async def find_bearer(tx: Reading, task_id: UUID) -> Bearer | None:
    """Where the task is; None when it is gone for good, or its team is."""
    row = await tx.fetchrow(_BEARER, task_id)
    return None if row is None else Bearer(row["team_id"], row["created_by"])


# It is asked every second: only the few teams with series of dates are looked at, which an index finds.
_ZONES: Final = """
select distinct g.time_zone from tasks t join teams g on g.id = t.team_id
where t.recurrence ->> 'next_id' is null and t.recurrence is not null and t.archived_at is null
  and t.due_on is not null and t.recurrence ->> 'when' = 'due'
"""
# A task that is changed is asked for once more: it may have another series by now, for the time of the old one.
# `due_at` itself is overdue a moment later than at `now`; a date is from the first moment of the next one.
_BEARERS: Final = """
with due as (
    select t.id, 'at ' || extract(epoch from t.due_at) || ' ' || t.version as occurrence
    from tasks t
    where t.recurrence ->> 'next_id' is null and t.recurrence is not null and t.archived_at is null
      and t.due_at <= $2 and t.recurrence ->> 'when' = 'due'
    union all
    select t.id, 'on ' || to_char(t.due_on, 'YYYY-MM-DD') || ' ' || t.version
    from tasks t
    join teams g on g.id = t.team_id
    join unnest($3::text[], $4::date[]) z (zone, today) on z.zone = g.time_zone
    where t.recurrence ->> 'next_id' is null and t.recurrence is not null and t.archived_at is null
      and t.due_on < z.today and t.recurrence ->> 'when' = 'due'
    union all
    select t.id, 'done ' || t.version
    from tasks t
    where t.recurrence ->> 'next_id' is null and t.recurrence is not null and t.archived_at is null
      and t.completed_at <= $2 and t.recurrence ->> 'when' = 'done'
    union all
    select t.id, 'cancelled ' || t.version
    from tasks t
    where t.recurrence ->> 'next_id' is null and t.recurrence is not null and t.archived_at is null
      and t.updated_at <= $2 and t.recurrence ->> 'when' = 'done' and t.status = 'cancelled'
)
select d.id, d.occurrence from due d
where not exists (
    select from schedule_marks k where k.schedule = $1 and k.subject_id = d.id and k.occurrence = d.occurrence
)
limit $5
"""
_BEARER: Final = """
select t.team_id, t.created_by from tasks t join teams g on g.id = t.team_id and g.deleted_at is null where t.id = $1
"""
