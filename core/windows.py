"""Filters by time, as they were asked for and as they are checked.

Whoever filters gives a date or an instant. A date is compared with dates in the team's zone, an instant with instants.
A `Window` has both turned into plain bounds, once for a query and a zone, so that memory and SQL compare the same
values: instants for what has an instant, dates for what is due on a date. `docs/dates.md` has the table.
"""

from datetime import date, datetime, tzinfo
from typing import Generic, TypeVar

from msgspec import Struct

from core.calendar import ONE_DAY, TICK, day_of, day_start
from core.task import Task

__all__ = ["Range", "When", "Window", "instants", "is_past_due", "window_of"]

When = datetime | date
"""A datetime (UTC) is an instant, and a date is a date, although Python's datetimes are dates, too."""

T = TypeVar("T", bound=date)


class Range(Struct, Generic[T], frozen=True, gc=False):
    """From `since` on, before `until`; None is no bound."""

    since: T | None = None
    until: T | None = None

    def holds(self, value: T | None) -> bool:
        """Whether the value is there and lies in the range."""
        if value is None:
            return False
        return (self.since is None or value >= self.since) and (self.until is None or value < self.until)


class Due(Struct, frozen=True, gc=False):
    """A range of moments in which tasks are due: of instants, and of the dates whose days end in it."""

    at: Range[datetime]
    on: Range[date]

    def holds(self, task: Task) -> bool:
        """Whether the task is due in the range."""
        return self.at.holds(task.due_at) or self.on.holds(task.due_on)


class Window(Struct, frozen=True, gc=False):
    """All that a query asks of times, in one zone; None where it asks nothing. `past` is what lies before now."""

    created: Range[datetime] | None = None
    updated: Range[datetime] | None = None
    completed: Range[datetime] | None = None
    due: tuple[Due, ...] = ()
    past: Due | None = None
    overdue: bool = True
    """With `past`: whether what is overdue is asked for, or everything else."""

    def holds(self, task: Task) -> bool:
        """Whether the task satisfies all of it."""
        return (
            (self.created is None or self.created.holds(task.created_at))
            and (self.updated is None or self.updated.holds(task.updated_at))
            and (self.completed is None or self.completed.holds(task.completed_at))
            and all(due.holds(task) for due in self.due)
            and (self.past is None or is_past_due(task, self.past) == self.overdue)
        )


def is_past_due(task: Task, past: Due) -> bool:
    """Whether the task is overdue: what is finished or archived never is."""
    return task.status not in FINISHED and task.archived_at is None and past.holds(task)


FINISHED = ("done", "cancelled")
"""Categories in which nothing is overdue any more."""


def instants(after: When | None, before: When | None, zone: tzinfo) -> Range[datetime] | None:
    """From the beginning of `after` to before the beginning of `before`; None without any bound."""
    if after is None and before is None:
        return None
    return Range(_instant(after, zone), _instant(before, zone))


def due_between(after: When | None, before: When | None, zone: tzinfo) -> Due:
    """What is due from `after` on and before `before`."""
    return Due(Range(_instant(after, zone), _instant(before, zone)), Range(_day(after, zone), _day(before, zone)))


def window_of(
    zone: tzinfo,
    *,
    created: tuple[When | None, When | None] = (None, None),
    updated: tuple[When | None, When | None] = (None, None),
    completed: tuple[When | None, When | None] = (None, None),
    due: tuple[When | None, When | None] = (None, None),
    due_on: When | None = None,
    overdue: bool | None = None,
    now: datetime | None = None,
) -> Window:
    """The window in a zone; pairs are (from then on, before then). `now` must be there with `overdue`."""
    spans = [due_between(*due, zone)] if due != (None, None) else []
    if due_on is not None:
        spans.append(due_between(due_on, _following(due_on), zone))
    return Window(
        instants(*created, zone),
        instants(*updated, zone),
        instants(*completed, zone),
        tuple(spans),
        None if overdue is None else due_between(None, now, zone),
        overdue is not False,
    )


def _following(when: When) -> When:
    return when + (TICK if isinstance(when, datetime) else ONE_DAY)


def _instant(when: When | None, zone: tzinfo) -> datetime | None:
    return when if when is None or isinstance(when, datetime) else day_start(when, zone)


def _day(when: When | None, zone: tzinfo) -> date | None:
    """A day ends before an instant exactly if it is before the day that has begun by then."""
    return day_of(when, zone) if isinstance(when, datetime) else when
