"""Schedules: how far each has been fired, and marks of what it has caused, so that nothing is caused twice.

A firing is one transaction: it locks its schedule's row, writes its effects and their marks, and moves the row on. So
any number of schedulers, killed at any moment, cause each effect once. For the worker's role.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from db.pool import Pool
from db.slices import delete_in_slices
from db.transaction import Reading, Writing

__all__ = ["Mark", "claim", "forget_marks", "fired_until", "mark", "move", "plan_for_these"]

KEPT_DAYS: Final = 35
"""Longer than anything that is planned may be late."""


class Mark(NamedTuple):
    """One thing that a schedule does once: for a subject (a user, a task), at an occurrence (a date, a moment)."""

    subject: UUID
    occurrence: str


async def claim(tx: Writing, name: str, now: datetime) -> datetime | None:
    """Until when the schedule has been fired, with its row locked until `tx` ends; None while another fires it.

    A schedule that is new begins `now`: nothing of before is fired.
    """
    await tx.execute(_BEGIN, name, now)
    fired: datetime | None = await tx.fetchval(_CLAIM, name)
    return fired


async def plan_for_these(tx: Writing) -> None:
    """Have each statement of the transaction planned for what it is given.

    Firings ask with lists of one or of thousands of hours, marks or users, and rarely: a plan for any list, which
    Postgres settles on after some calls, takes seconds instead of milliseconds.
    """
    await tx.execute(_PLANS)


async def move(tx: Writing, name: str, until: datetime) -> None:
    """Everything up to this moment has been fired."""
    await tx.execute(_MOVE, name, until)


async def mark(tx: Writing, name: str, marks: Iterable[Mark]) -> list[Mark]:
    """Mark what is about to be caused in `tx`, and answer what was not marked before: only that is to be caused."""
    wanted = list(marks)
    rows = await tx.fetch(_MARK, name, [mark.subject for mark in wanted], [mark.occurrence for mark in wanted])
    return [Mark(row["subject_id"], row["occurrence"]) for row in rows]


async def fired_until(tx: Reading, name: str) -> datetime | None:
    """Until when the schedule has been fired; None when it never was."""
    fired: datetime | None = await tx.fetchval(_FIRED, name)
    return fired


async def forget_marks(pool: Pool) -> int:
    """Delete marks of what is long past; how many there were. Raises StorageUnavailable."""

    async def forget(tx: Writing, limit: int) -> int:
        return await tx.execute(_FORGET, KEPT_DAYS, limit)

    return await delete_in_slices(pool, forget)


_BEGIN: Final = "insert into schedules (name, fired_until) values ($1, $2) on conflict (name) do nothing"
_CLAIM: Final = "select fired_until from schedules where name = $1 for update skip locked"
_PLANS: Final = "set local plan_cache_mode = force_custom_plan"
_MOVE: Final = "update schedules set fired_until = $2, moved_at = now() where name = $1 and fired_until < $2"
_FIRED: Final = "select fired_until from schedules where name = $1"
_MARK: Final = """
insert into schedule_marks (schedule, subject_id, occurrence)
select $1, subject_id, occurrence from unnest($2::uuid[], $3::text[]) n (subject_id, occurrence)
order by subject_id, occurrence
on conflict (schedule, subject_id, occurrence) do nothing returning subject_id, occurrence
"""
_FORGET: Final = """
delete from schedule_marks where ctid in (
    select ctid from schedule_marks where marked_at < now() - make_interval(days => $1) limit $2
)
"""
