"""Days in a time zone: when one begins and ends, which one it is, and from when on something is too late.

A time of the local clock that a change of the clocks skips means the first moment after the gap, and one that comes
twice means its first occurrence.

A day begins at its first moment there. Where a change of the clocks skips midnight, that is the first moment after the
gap; where midnight comes twice, it is the first one, and what follows belongs to the day although the clock may show
the one before again for a while. A day that a zone skips altogether (Samoa's 30 December 2011) begins and ends in the
same moment. So days follow each other without gap or overlap, which calendars of clocks do not.

The zone comes in from outside, because its data are files. Instants are UTC, exact to the microsecond.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

__all__ = ["day_end", "day_of", "day_start", "due_moment", "wall_moment"]

ONE_DAY: Final = timedelta(days=1)
ONE_SECOND: Final = timedelta(seconds=1)
TICK: Final = timedelta(microseconds=1)
REMEMBERED: Final = 8_192


@lru_cache(maxsize=REMEMBERED)
def day_start(day: date, zone: tzinfo) -> datetime:
    """The first moment of the day, in UTC. Years 2 to 9998, so that neighbouring days exist."""
    return wall_moment(datetime.combine(day, time()), zone)


@lru_cache(maxsize=REMEMBERED)
def wall_moment(local: datetime, zone: tzinfo) -> datetime:
    """The first moment, in UTC, at which the clocks of the zone show `local` (naive) or what comes after it."""
    there = local.replace(tzinfo=zone)
    moment = there.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    # The clocks never show it: it lies in a gap, which ends between this time by the offset of after the gap and by
    # that of before it. Clocks change at whole seconds.
    early = there.replace(fold=1).astimezone(UTC)
    seconds = range(int((moment - early).total_seconds()))
    return early + ONE_SECOND * bisect_left(seconds, True, key=lambda after: _has_come(local, zone, early, after))


def _has_come(local: datetime, zone: tzinfo, early: datetime, seconds: int) -> bool:
    return (early + ONE_SECOND * seconds).astimezone(zone).replace(tzinfo=None) >= local


def day_end(day: date, zone: tzinfo) -> datetime:
    """The first moment that is no longer of the day: that of the next one."""
    return day_start(day + ONE_DAY, zone)


def day_of(moment: datetime, zone: tzinfo) -> date:
    """The last day that has begun by this moment."""
    day = moment.astimezone(zone).date()
    # Clocks that are put back over midnight show the day before once more.
    return day + ONE_DAY if day_end(day, zone) <= moment else day


def due_moment(due_at: datetime | None, due_on: date | None, zone: tzinfo) -> datetime | None:
    """When a task is due, by which those due at an instant and those due on a date stand in one order.

    Of a date that is the last moment of its day: either way a task is overdue once this moment has passed.
    """
    if due_at is not None:
        return due_at
    return None if due_on is None else day_end(due_on, zone) - TICK
