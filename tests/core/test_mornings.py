"""The same hour of everybody's own clock: once a date in every zone, at the moment that brute force says."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from core.calendar import wall_moment
from core.mornings import mornings
from core.rhythm import Span
from tests.support.clocks import DAY, first_showing, pieces
from tests.support.proofs import share

NAMES = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})
SEVEN, HALF_PAST_TWO = time(7), time(2, 30)


def found_over(
    zones: list[tuple[str, ZoneInfo]], at: time, begin: datetime, end: datetime
) -> Counter[tuple[str, date]]:
    """How often each zone had its morning on each date, over spans of uneven lengths up to seven hours."""
    found, after, number = Counter[tuple[str, date]](), begin, 0
    while after < end:
        until = min(end, after + timedelta(minutes=60 + number * 97 % 360))
        found.update(mornings(Span(after, until), at, zones).items())
        after, number = until, number + 1
    return found


@pytest.mark.parametrize(
    ("zone", "local", "moment", "why"),
    [
        ("Europe/Berlin", "2026-03-01T07:00", "2026-03-01T06:00", "nothing is special"),
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00", "skipped: the first moment after the gap"),
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30", "doubled: its first occurrence"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30", "a gap of half an hour"),
        ("Pacific/Apia", "2011-12-30T07:00", "2011-12-30T10:00", "a day that was skipped altogether"),
        ("America/Nuuk", "2026-03-28T23:30", "2026-03-29T01:00", "a gap that ends at midnight"),
    ],
)
def test_a_local_time_means_one_moment(zone: str, local: str, moment: str, why: str) -> None:
    expected = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert wall_moment(datetime.fromisoformat(local), ZoneInfo(zone)) == expected, why


def test_a_morning_belongs_to_the_span_that_ends_with_it() -> None:
    berlin, six = [("Europe/Berlin", ZoneInfo("Europe/Berlin"))], datetime(2026, 3, 1, 6, tzinfo=UTC)
    minute = timedelta(minutes=1)
    assert mornings(Span(six - minute, six), SEVEN, berlin) == {"Europe/Berlin": date(2026, 3, 1)}
    assert mornings(Span(six, six + minute), SEVEN, berlin) == {}
    assert mornings(Span(six - 3 * DAY, six), SEVEN, berlin) == {"Europe/Berlin": date(2026, 3, 1)}, "the latest"


def test_zones_that_change_their_clocks_have_each_morning_once() -> None:
    names = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu"]
    zones = [(name, ZoneInfo(name)) for name in names]
    begin = datetime(2026, 1, 1, 12, tzinfo=UTC)
    found = found_over(zones, HALF_PAST_TWO, begin, begin + 300 * DAY)
    assert set(found.values()) == {1}
    assert all(299 <= sum(zone == name for zone, _ in found) <= 301 for name in names)


@pytest.mark.proof
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("at", [SEVEN, HALF_PAST_TWO, time(0, 15)], ids=str)
def test_all_zones_have_every_morning_of_two_years_once_and_when_brute_force_says(at: time) -> None:
    names = NAMES[:: max(1, len(NAMES) // share(len(NAMES)))]
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    found = found_over([(name, ZoneInfo(name)) for name in names], at, begin, end)
    assert set(found.values()) == {1}
    for name in names:
        changes = pieces(name, 2025, 2029, DAY)
        for number in range(-2, 733):
            day = begin.date() + DAY * number
            local = datetime.combine(day, at)
            moment = first_showing(local, changes)
            assert wall_moment(local, ZoneInfo(name)) == moment, (name, day)
            assert found[name, day] == (begin < moment <= end), (name, day)
