"""The same hour of everybody's own clock: once a date in every zone, at the moment that brute force says."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from time import process_time
from zoneinfo import ZoneInfo, available_timezones

import pytest

from core.calendar import wall_moment
from core.mornings import LocalHour, hours_come, last_morning
from core.rhythm import Span
from tests.support.clocks import DAY, first_showing, pieces
from tests.support.proofs import share

NAMES = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BERLIN = [("Europe/Berlin", ZoneInfo("Europe/Berlin"))]


def zones_of(names: list[str]) -> list[tuple[str, ZoneInfo]]:
    return [(name, ZoneInfo(name)) for name in names]


def spans(begin: datetime, end: datetime) -> Iterator[Span]:
    """Spans of uneven lengths up to seven hours, one after the other."""
    after, number = begin, 0
    while after < end:
        until = min(end, after + timedelta(minutes=60 + number * 97 % 360))
        yield Span(after, until)
        after, number = until, number + 1


def found_over(zones: list[tuple[str, ZoneInfo]], begin: datetime, end: datetime) -> Counter[LocalHour]:
    """How often each hour of each date came in each zone."""
    return Counter(hour for span in spans(begin, end) for hour in hours_come(span, zones))


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


def test_an_hour_belongs_to_the_span_that_ends_with_it() -> None:
    six = datetime(2026, 3, 1, 6, tzinfo=UTC)
    seven = LocalHour("Europe/Berlin", date(2026, 3, 1), 7)
    assert list(hours_come(Span(six - MINUTE, six), BERLIN)) == [seven]
    assert list(hours_come(Span(six, six + MINUTE), BERLIN)) == []
    assert list(hours_come(Span(six - HOUR, six), BERLIN)) == [seven]


@pytest.mark.parametrize(
    ("zone", "after", "minutes", "expected"),
    [
        ("Europe/Berlin", "2026-03-29T00:59", 1, [2, 3]),
        ("Europe/Berlin", "2026-10-25T00:59", 1, []),
        ("Europe/Berlin", "2026-10-25T00:00", 180, [3, 4]),
        ("Antarctica/Troll", "2026-10-25T00:00", 180, [3]),
        ("Antarctica/Troll", "2026-03-29T00:59", 1, [1, 2, 3]),
        ("Australia/Lord_Howe", "2026-10-03T15:29", 1, [2]),
        ("Australia/Lord_Howe", "2026-04-04T14:00", 180, [2, 3]),
        ("Asia/Kathmandu", "2026-03-29T00:14", 1, [6]),
        ("Pacific/Apia", "2011-12-30T09:59", 1, [*range(24), 0]),
    ],
)
def test_a_change_of_clocks_brings_each_hour_once(zone: str, after: str, minutes: int, expected: list[int]) -> None:
    begin = datetime.fromisoformat(after).replace(tzinfo=UTC)
    found = hours_come(Span(begin, begin + MINUTE * minutes), zones_of([zone]))
    assert [hour.hour for hour in found] == expected


def test_the_last_morning_is_the_latest_date_whose_hour_has_come() -> None:
    berlin, seven = ZoneInfo("Europe/Berlin"), datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert last_morning(7, berlin, seven) == date(2026, 3, 1)
    assert last_morning(7, berlin, seven - timedelta(microseconds=1)) == date(2026, 2, 28)
    assert last_morning(2, berlin, datetime(2026, 3, 29, 1, tzinfo=UTC)) == date(2026, 3, 29), "it was skipped"


def test_zones_that_change_their_clocks_have_each_hour_once() -> None:
    names = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu"]
    begin = datetime(2026, 1, 1, 12, tzinfo=UTC)
    found = found_over(zones_of(names), begin, begin + 300 * DAY)
    assert set(found.values()) == {1}
    assert all(299 * 24 <= sum(hour.zone == name for hour in found) <= 301 * 24 for name in names)


def test_looking_at_all_zones_costs_little() -> None:
    """Every minute of the year pays for it: the bounds are five times what an idle machine takes."""
    zones, noon = zones_of(NAMES), datetime(2026, 6, 1, 12, tzinfo=UTC)
    list(hours_come(Span(noon - 12 * HOUR, noon), zones))
    costs = list[float]()
    for number in range(60):
        begun = process_time()
        list(hours_come(Span(noon + MINUTE * number, noon + MINUTE * (number + 1)), zones))
        costs.append(process_time() - begun)
    assert sorted(costs)[len(costs) // 2] < 0.015, "most minutes"
    assert sum(costs) < 60 * 0.02, "an hour of them"


@pytest.mark.proof
@pytest.mark.timeout(3000)
def test_all_zones_have_every_hour_of_two_years_once_and_when_brute_force_says() -> None:
    names = NAMES[:: max(1, len(NAMES) // share(len(NAMES)))]
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    for name in names:
        zone, changes = ZoneInfo(name), pieces(name, 2025, 2029, DAY)
        found = [(hour, span) for span in spans(begin, end) for hour in hours_come(span, [(name, zone)])]
        by_hour = dict(found)
        assert len(by_hour) == len(found), f"{name} had an hour twice"
        for number in range(-2 * 24, 733 * 24):
            local = datetime(2026, 1, 1) + HOUR * number  # noqa: DTZ001 (what a clock shows)
            moment, hour = first_showing(local, changes), LocalHour(name, local.date(), local.hour)
            span = by_hour.pop(hour, None)
            assert (span is not None) == (begin < moment <= end), hour
            assert span is None or span.after < moment <= span.until, hour
        assert not by_hour, name
