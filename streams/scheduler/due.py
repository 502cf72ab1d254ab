"""Tells assignees that tasks are due soon, and that they are overdue, each once for each due date of a task.

Soon is a day before an instant, and on the morning of the day before a date, by the assignee's own clock. Overdue is a
task from its instant on, and from the first moment of the day after its date in the zone of its team. A date that is
set when its reminder would be past already has none: whoever sets it so knows. Who moves their morning so that it is
left out that day hears at once. A scheduler that was away makes up for two days; what lapsed before that is in the
daily digest.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from core.calendar import ONE_DAY, day_end
from core.mornings import hour_moment
from core.notices import NoticeKind
from core.rhythm import Rhythm, Span
from db import schedules
from db.digests import Morning
from db.notices.due import DueTask, notify_due, tasks_after, tasks_before, tasks_due_at, tasks_of
from db.notices.notify import Collecting
from db.people.mornings import Moved, take_moved
from db.schedules import Mark
from db.transaction import Reading, Writing
from db.zones import zone_named
from streams.scheduler.mornings import all_hours, missed_morning
from streams.scheduler.schedules import Schedule

__all__ = ["NAME", "due"]

NAME: Final = "due"
RHYTHM: Final = Rhythm(every=timedelta(minutes=1), catch_up="once", oldest=timedelta(days=2))
SLICE: Final = 500
"""Notifications in one transaction."""


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

    async def tell(tx: Writing, some: Sequence[_Telling], now: datetime) -> int:
        marked = set(await schedules.mark(tx, NAME, [one.mark for one in some]))
        for one in some:
            if one.mark in marked:
                await notify_due(tx, one.task, one.kind, one.at, now=now, collecting=collecting)
        return len(marked)

    async def fire(tx: Writing, span: Span) -> bool:
        fresh = 0
        for some in _slices(await _tellings(tx, span)):
            if fresh:
                return False
            fresh = await tell(tx, some, span.until)
        moved = await take_moved(tx, NAME, SLICE)
        for some in _slices(await _left_out(tx, moved, span)):
            await tell(tx, some, span.until)
        return len(moved) < SLICE

    return Schedule(NAME, RHYTHM, fire)


async def _tellings(tx: Reading, span: Span) -> list[_Telling]:
    """What somebody is to hear because of a moment in the span, in its order."""
    found = [
        *[_Telling(_at(one) - ONE_DAY, "task.due_soon", one) for one in await tasks_due_at(tx, *_later(span))],
        *[_Telling(_at(one), "task.overdue", one) for one in await tasks_due_at(tx, *span)],
    ]
    if hours := await all_hours(span):
        midnights = [hour for hour in hours if hour.hour == 0]
        found += [_soon(one) for one in await tasks_before(tx, hours)]
        found += [_Telling(_end(one), "task.overdue", one) for one in await tasks_after(tx, midnights)]
    # Whoever was away does not say of what is overdue by now that it will be.
    gone = {one.task.id for one in found if one.kind == "task.overdue"}
    told = [one for one in found if one.kind == "task.overdue" or one.task.id not in gone]
    return sorted(told, key=lambda one: (one.at, one.task.id, one.kind))


async def _left_out(tx: Reading, moved: Sequence[Moved], span: Span) -> list[_Telling]:
    """What is due soon to those who have moved their morning so that they had none on the day before."""
    found = [(one.user_id, missed_morning(one, span, ONE_DAY)) for one in moved]
    missed = [Morning(user_id, day) for user_id, day in found if day is not None]
    return [_soon(one) for one in await tasks_of(tx, missed) if _end(one) > span.until] if missed else []


def _soon(task: DueTask) -> _Telling:
    assert task.due_on is not None, "it was found by its date"
    at = hour_moment(task.due_on - ONE_DAY, task.morning, zone_named(task.reader_zone))
    return _Telling(at, "task.due_soon", task)


def _end(task: DueTask) -> datetime:
    assert task.due_on is not None, "it was found by its date"
    return day_end(task.due_on, zone_named(task.zone))


def _at(task: DueTask) -> datetime:
    assert task.due_at is not None, "it was found by its instant"
    return task.due_at


def _later(span: Span) -> Span:
    return Span(span.after + ONE_DAY, span.until + ONE_DAY)


def _slices(tellings: Sequence[_Telling]) -> Iterator[Sequence[_Telling]]:
    for start in range(0, len(tellings), SLICE):
        yield tellings[start : start + SLICE]
