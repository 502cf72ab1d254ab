"""Where in the world a time of day has come: for what happens to everybody at the same hour of their own clock."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

from core.calendar import ONE_DAY, wall_moment
from core.rhythm import Span

__all__ = ["mornings"]

FARTHEST: Final = timedelta(hours=26)
"""No clock is farther from UTC than this, gaps included."""


def mornings(span: Span, at: time, zones: Iterable[tuple[str, tzinfo]]) -> Mapping[str, date]:
    """The zones in which it has become `at` within the span, each with the date on which; the latest, if several.

    A local time that is skipped comes at the first moment after the gap, a doubled one with its first occurrence, so
    that every date has exactly one such moment in each zone.
    """
    first, last = (span.after - FARTHEST).date(), (span.until + FARTHEST).date()
    days = [last - ONE_DAY * number for number in range((last - first).days + 1)]
    found = dict[str, date]()
    for name, zone in zones:
        for day in days:
            if span.after < wall_moment(datetime.combine(day, at), zone) <= span.until:
                found[name] = day
                break
    return found
