"""Tells assignees that tasks are due soon, and that they are overdue, each once for each due date of a task.

Soon is a day before an instant, and on the morning of the day before a date, by the assignee's own clock. Overdue is a
task from its instant on, and from the first moment of the day after its date in the zone of its team. A date that is
set when its reminder would be past already has none: whoever sets it so knows. A scheduler that was away makes up for
two days; what lapsed before that is in the daily digest.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Final, NamedTuple

from core.calendar import ONE_DAY, day_end, wall_moment
from core.notices import NoticeKind
from core.rhythm import Rhythm, Span
from db import schedules
from db.notices.due import DueTask, notify_due, tasks_due_at, tasks_due_on
from db.notices.notify import Collecting
from db.schedules import Mark
from db.transaction import Reading, Writing
from db.zones import zone_named
from streams.scheduler.schedules import Schedule

__all__ = ["NAME", "due"]

NAME: Final = "due"
RHYTHM: Final = Rhythm(every=timedelta(minutes=5), catch_up="once", oldest=timedelta(days=2))
SLICE: Final = 500
"""Notifications in one transaction."""
AROUND: Final = timedelta(days=3)
"""A date is due within so many days of a moment at which somebody is to hear of it, wherever they are."""


class _Telling(NamedTuple):
    at: datetime
    kind: NoticeKind
    task: DueTask

    @property
    def mark(self) -> Mark:
        """Who else becomes the assignee is not told again: being assigned says enough."""
        return Mark(self.task.id, f"{self.kind}:{self.task.due}")


def due(collecting: Collecting) -> Schedule:
    """The schedule of both."""

    async def fire(tx: Writing, span: Span) -> bool:
        fresh = 0
        for some in _slices(await _tellings(tx, span)):
            if fresh:
                return False
            marked = set(await schedules.mark(tx, NAME, [one.mark for one in some]))
            fresh = len(marked)
            for one in some:
                if one.mark in marked:
                    await notify_due(tx, one.task, one.kind, one.at, now=span.until, collecting=collecting)
        return True

    return Schedule(NAME, RHYTHM, fire)


async def _tellings(tx: Reading, span: Span) -> list[_Telling]:
    """What somebody is to hear because of a moment in the span, in its order."""
    found = [
        *[_Telling(_at(one) - ONE_DAY, "task.due_soon", one) for one in await tasks_due_at(tx, *_later(span))],
        *[_Telling(_at(one), "task.overdue", one) for one in await tasks_due_at(tx, *span)],
    ]
    for one in await tasks_due_on(tx, (span.after - AROUND).date(), (span.until + AROUND).date()):
        found += [telling for telling in _of_date(one) if span.after < telling.at <= span.until]
    # Whoever was away does not say of what is overdue by now that it will be.
    gone = {one.task.id for one in found if one.kind == "task.overdue"}
    told = [one for one in found if one.kind == "task.overdue" or one.task.id not in gone]
    return sorted(told, key=lambda one: (one.at, one.task.id, one.kind))


def _of_date(task: DueTask) -> Iterator[_Telling]:
    assert task.due_on is not None, "it was found by its date"
    morning = datetime.combine(task.due_on - ONE_DAY, time(task.morning))
    yield _Telling(wall_moment(morning, zone_named(task.reader_zone)), "task.due_soon", task)
    yield _Telling(day_end(task.due_on, zone_named(task.zone)), "task.overdue", task)


def _at(task: DueTask) -> datetime:
    assert task.due_at is not None, "it was found by its instant"
    return task.due_at


def _later(span: Span) -> Span:
    return Span(span.after + ONE_DAY, span.until + ONE_DAY)


def _slices(tellings: Sequence[_Telling]) -> Iterator[Sequence[_Telling]]:
    for start in range(0, len(tellings), SLICE):
        yield tellings[start : start + SLICE]
