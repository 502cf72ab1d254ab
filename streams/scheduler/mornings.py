"""Where an hour of the day has come, without holding up the event loop; and what who moves their morning has missed."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Final
from zoneinfo import available_timezones

import anyio.lowlevel

from core.mornings import LocalHour, hour_moment, hours_come, last_morning
from core.rhythm import Span
from db.people.mornings import Moved
from db.zones import zone_named

__all__ = ["all_hours", "missed_morning"]

AT_ONCE: Final = 10
"""Zones between two moments at which others may run: a tenth of a millisecond each on the hour."""


async def all_hours(span: Span) -> Sequence[LocalHour]:
    """Every full hour that has come within the span, in all zones of the IANA database."""
    found = list[LocalHour]()
    for names in _portions():
        found += hours_come(span, [(name, zone_named(name)) for name in names])
        await anyio.lowlevel.checkpoint()
    return found


def missed_morning(moved: Moved, span: Span, oldest: timedelta) -> date | None:
    """The date whose morning is left out by the user's move: by their new clock it has come, no longer ago than
    `oldest`, and by their old one it had not when the schedule looked last. None where there is no such date."""
    old_zone, new_zone = zone_named(moved.time_zone), zone_named(moved.new_zone)
    day = last_morning(moved.new_hour, new_zone, span.until)
    had = hour_moment(day, moved.digest_hour, old_zone) <= span.after
    stale = hour_moment(day, moved.new_hour, new_zone) <= span.until - oldest
    return None if had or stale else day


@cache
def _portions() -> Sequence[Sequence[str]]:
    names = sorted(available_timezones())
    return [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
