"""Has the next task of a series made, once its time has come: a job for each, which `streams/consumers` acts on.

A task is asked for by its mark, once for each time that it is due or done; that the team makes no more than one next
task is decided there (`core/decide_recurrence.py`). What was missed needs no catching up: every look finds all tasks
whose time has come, however long ago.
"""

from datetime import timedelta
from typing import Final

from core.rhythm import Rhythm, Span
from db import outbox, schedules
from db.recurring import PURPOSE, to_pass_on
from db.transaction import Writing
from streams.scheduler.schedules import Schedule

__all__ = ["NAME", "recurrence"]

NAME: Final = "recurrence"
RHYTHM: Final = Rhythm(every=timedelta(seconds=1), catch_up="once")
SLICE: Final = 500
"""Tasks in one transaction."""


def recurrence() -> Schedule:
    """The schedule over all teams."""
    return Schedule(NAME, RHYTHM, _fire)


async def _fire(tx: Writing, span: Span) -> bool:
    due = await to_pass_on(tx, NAME, span.until, SLICE)
    if due:
        fresh = await schedules.mark(tx, NAME, due)
        await outbox.put_all(tx, outbox.JOBS, PURPOSE, [mark.subject for mark in fresh])
    return len(due) < SLICE
