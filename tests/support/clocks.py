"""Brute force about clocks: it knows nothing of gaps and folds.

It walks the pieces of UTC in which an offset holds, found by looking at the clock from UTC's side alone, and takes the
first moment at which the clock shows a day or a later one.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

__all__ = ["DAY", "Piece", "first_moment", "first_showing", "pieces"]

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
Piece = tuple[datetime, timedelta]
"""From when on, in UTC, an offset holds."""


def offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    found = moment.astimezone(zone).utcoffset()
    assert found is not None
    return found


@cache
def pieces(name: str, first: int, last: int, step: timedelta) -> Sequence[Piece]:
    """All offsets between two years, provided that none holds for less than `step`."""
    zone, moment, end = ZoneInfo(name), datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC)
    found = [(moment, offset(moment, zone))]
    while moment < end:
        following = moment + step
        if offset(following, zone) != found[-1][1]:
            early, late = moment, following
            while late - early > SECOND:
                between = early + SECOND * int((late - early) / SECOND / 2)
                early, late = (between, late) if offset(between, zone) == found[-1][1] else (early, between)
            found.append((late, offset(late, zone)))
        moment = following
    return found


def first_moment(day: date, changes: Sequence[Piece]) -> datetime:
    """Of all pieces, the first moment at which the clock shows midnight of the day or later."""
    return first_showing(datetime.combine(day, time()), changes)


def first_showing(local: datetime, changes: Sequence[Piece]) -> datetime:
    """Of all pieces, the first moment at which the clock shows this local time (naive) or later."""
    wanted = local.replace(tzinfo=UTC)
    ends = [*(start for start, _ in changes[1:]), datetime.max.replace(tzinfo=UTC)]
    moments = [max(start, wanted - shift) for start, shift in changes]
    return min(moment for moment, end in zip(moments, ends, strict=True) if moment < end)
