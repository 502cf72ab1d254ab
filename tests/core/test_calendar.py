"""Days of all IANA zones around every change of their clocks, against brute force (`tests/support/clocks.py`)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from core.calendar import TICK, day_end, day_of, day_start, due_moment
from tests.support.clocks import DAY, Piece, first_moment, pieces
from tests.support.proofs import share

NAMES = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})


def days_around(changes: Sequence[Piece]) -> Iterator[date]:
    """The days near each change, and one in the middle of each piece."""
    for (before, _), (start, shift) in pairwise(changes):
        shown = (start + shift).date()
        yield from (shown + DAY * distance for distance in (-2, -1, 0, 1, 2))
        yield (before + (start - before) / 2).date()


def check(name: str, first: int, last: int, step: timedelta) -> int:
    """Every day near a change; how many there were."""
    zone, changes = ZoneInfo(name), pieces(name, first, last, step)
    days = {day for day in days_around(changes) if first < day.year < last - 1} | {date(first + 1, 6, 1)}
    for day in days:
        start, following = first_moment(day, changes), first_moment(day + DAY, changes)
        assert day_start(day, zone) == start, (name, day)
        assert day_end(day, zone) == following, (name, day)
        assert due_moment(None, day, zone) == following - TICK
        if start < following:
            assert day_of(start, zone) == day == day_of(following - TICK, zone), (name, day)
    return len(days)


def test_days_of_all_zones_begin_when_brute_force_says() -> None:
    assert len(NAMES) > 550
    assert sum(check(name, 2019, 2028, DAY) for name in NAMES) > 5_000


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_days_of_all_zones_and_all_times_begin_when_brute_force_says() -> None:
    names = sorted(NAMES)[:: max(1, len(NAMES) // share(len(NAMES)))]
    assert sum(check(name, 1899, 2045, DAY) for name in names) > 50 * len(names)


@pytest.mark.parametrize(
    ("zone", "day", "begins", "why"),
    [
        ("UTC", (2026, 3, 1), "2026-03-01T00:00:00+00:00", "nothing is special"),
        ("Asia/Kathmandu", (2026, 3, 1), "2026-02-28T18:15:00+00:00", "an offset of a quarter of an hour"),
        ("America/Sao_Paulo", (2017, 10, 15), "2017-10-15T03:00:00+00:00", "midnight was skipped: one o'clock"),
        ("Atlantic/Azores", (2026, 10, 25), "2026-10-25T00:00:00+00:00", "midnight comes twice: the first"),
        ("America/St_Johns", (2007, 11, 4), "2007-11-04T02:30:00+00:00", "put back over midnight a minute later"),
        ("Pacific/Apia", (2011, 12, 31), "2011-12-30T10:00:00+00:00", "right after the 29th"),
        ("Pacific/Apia", (2011, 12, 30), "2011-12-30T10:00:00+00:00", "a day without a moment"),
    ],
)
def test_a_day_begins_at_its_first_moment(zone: str, day: tuple[int, int, int], begins: str, why: str) -> None:
    assert day_start(date(*day), ZoneInfo(zone)).isoformat() == begins, why


def test_what_follows_the_first_midnight_is_of_the_new_day_whatever_the_clock_shows() -> None:
    zone, start = ZoneInfo("America/St_Johns"), datetime(2007, 11, 4, 2, 30, tzinfo=UTC)
    later = start + timedelta(minutes=30)
    assert later.astimezone(zone).date() == date(2007, 11, 3)
    assert day_of(later, zone) == date(2007, 11, 4)


def test_a_task_due_at_an_instant_is_due_then_and_one_without_either_never() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert due_moment(moment, None, ZoneInfo("Asia/Tokyo")) == moment
    assert due_moment(None, None, ZoneInfo("Asia/Tokyo")) is None
