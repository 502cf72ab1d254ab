"""Where in the world an hour of the day has come: for what happens to everybody at an hour of their own clock.

A local time that is skipped comes at the first moment after the gap, a doubled one with its first occurrence, so that
every hour of every date has exactly one such moment in each zone.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Final, NamedTuple

from core.calendar import ONE_DAY, wall_moment
from core.rhythm import Span

__all__ = ["LocalHour", "hour_moment", "hours_come", "last_morning"]

ONE_HOUR: Final = timedelta(hours=1)
FARTHEST: Final = timedelta(hours=26)
"""No clock is farther from UTC than this, gaps included."""


class LocalHour(NamedTuple):
    """A full hour (0 to 23) of a date in a zone, which goes by its name."""

    zone: str
    day: date
    hour: int


def hour_moment(day: date, hour: int, zone: tzinfo) -> datetime:
    """The moment, in UTC, at which this hour of this date comes in the zone."""
    return wall_moment(datetime.combine(day, time(hour)), zone)


def hours_come(span: Span, zones: Iterable[tuple[str, tzinfo]]) -> Iterator[LocalHour]:
    """Every full hour that has come within the span in these zones: zone by zone, the earliest first.

    It is asked each minute for all zones that there are. So it reads two clocks for each of them, and looks closer only
    where they show that the hour is another one, or that the clocks were changed: some 2 ms on the hour, and less than
    one at any other minute. It relies on no zone changing its clocks twice within an hour.
    """
    pieces = list(pairwise(_edges(span)))
    for name, zone in zones:
        for after, until in pieces:
            for local in _candidates(after, until, zone):
                if after < wall_moment(local, zone) <= until:
                    yield LocalHour(name, local.date(), local.hour)


def last_morning(hour: int, zone: tzinfo, now: datetime) -> date:
    """The latest date in the zone whose `hour` has come by `now`."""
    day = (now + FARTHEST).date()
    while hour_moment(day, hour, zone) > now:
        day -= ONE_DAY
    return day


def _edges(span: Span) -> Iterator[datetime]:
    """The span's ends, and moments in between that are an hour apart."""
    moment = span.after
    while moment < span.until:
        yield moment
        moment += ONE_HOUR
    yield span.until


def _candidates(after: datetime, until: datetime, zone: tzinfo) -> Iterator[datetime]:
    """The full hours (naive) of which alone one can come in between: shown by the clock of before a change, or of after
    it, or skipped by it."""
    early, late = (moment.astimezone(zone).replace(tzinfo=None) for moment in (after, until))
    changed = (late - early) - (until - after)
    first, last = early + min(changed, timedelta()), late - min(changed, timedelta())
    hour = first.replace(minute=0, second=0, microsecond=0) + ONE_HOUR
    while hour <= last:
        yield hour
        hour += ONE_HOUR
