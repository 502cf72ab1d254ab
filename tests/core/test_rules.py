"""Rules of recurrence: what is accepted, and that they have the library's dates without its endless searches."""

import time
from datetime import date, datetime
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.rules import clean_rule, dates_after, read_rule

DAY = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])
STARTS = st.dates(date(2020, 1, 1), date(2032, 1, 1))


def listed(values: st.SearchStrategy[str], most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=most, unique=True).map(",".join)


def some(**parts: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Any of these parts."""
    chosen = [st.none() | values.map(lambda value, name=name: f"{name}={value}") for name, values in parts.items()]  # type: ignore[misc]
    return st.tuples(*chosen).map(lambda found: [part for part in found if part is not None])


def numbered(most: int) -> st.SearchStrategy[str]:
    return st.tuples(numbers(most), DAY).map("".join)


def numbers(most: int, least: int | None = None) -> st.SearchStrategy[str]:
    return st.integers(-most if least is None else least, most).filter(bool).map(str)


INTERVAL = st.integers(1, 6).map(str)
MONTHS = listed(numbers(12, 1))
RULES = st.one_of(
    some(INTERVAL=INTERVAL).map(lambda parts: ["FREQ=DAILY", *parts]),
    some(BYDAY=listed(DAY), BYMONTH=MONTHS).map(lambda parts: ["FREQ=DAILY", *parts]),
    some(INTERVAL=INTERVAL, BYDAY=listed(DAY), WKST=DAY).map(lambda parts: ["FREQ=WEEKLY", *parts]),
    some(
        INTERVAL=INTERVAL, BYDAY=listed(numbered(5)) | listed(DAY), BYMONTHDAY=listed(numbers(31)), BYMONTH=MONTHS
    ).map(lambda parts: ["FREQ=MONTHLY", *parts]),
    some(BYDAY=listed(DAY), BYSETPOS=listed(numbers(4)))
    .filter(lambda parts: len(parts) == 2)
    .map(lambda parts: ["FREQ=MONTHLY", *parts]),
    some(
        INTERVAL=INTERVAL, BYDAY=listed(numbered(5)) | listed(DAY), BYMONTHDAY=listed(numbers(31)), BYMONTH=MONTHS
    ).map(lambda parts: ["FREQ=YEARLY", *parts]),
).map(";".join)


def library(rule: str, start: date, after: date, until: date) -> list[date]:
    """What dateutil makes of the rule as it stands, bounded by a date."""
    ended = rrulestr(f"{rule};UNTIL={until:%Y%m%d}", dtstart=datetime(start.year, start.month, start.day))  # noqa: DTZ001
    return [moment.date() for moment in ended if moment.date() > after]


@settings(deadline=None, max_examples=60)
@given(RULES, STARTS, st.integers(0, 900))
def test_dates_are_those_of_the_library(rule: str, start: date, later: int) -> None:
    after = date.fromordinal(start.toordinal() + later)
    first = next(dates_after(read_rule(rule), start, after), None)
    until = date.fromordinal(after.toordinal() + 1_500)
    assume(first is not None and first <= until)  # Else the library looks until the year 9999.
    found = [day for day in islice(dates_after(read_rule(rule), start, after), 2_000) if day <= until]
    assert found == library(rule, start, after, until)


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=DAILY", "2026-02-27", ["2026-02-28", "2026-03-01"]),
        ("FREQ=WEEKLY;BYDAY=MO,TH", "2026-03-02", ["2026-03-05", "2026-03-09"]),
        ("FREQ=WEEKLY;INTERVAL=2", "2026-03-04", ["2026-03-18", "2026-04-01"]),
        ("FREQ=MONTHLY", "2026-01-31", ["2026-03-31", "2026-05-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31", ["2026-02-28", "2026-03-31"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-01-30", ["2026-02-27", "2026-03-31"]),
        ("FREQ=YEARLY", "2024-02-29", ["2028-02-29", "2032-02-29"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", "2072-02-29", ["2112-02-29", "2140-02-29"]),
        ("FREQ=DAILY;UNTIL=20260301T120000Z", "2026-02-27", ["2026-02-28", "2026-03-01"]),
    ],
)
def test_dates_of_rules_that_people_use(rule: str, start: str, expected: list[str]) -> None:
    begin = date.fromisoformat(start)
    assert [day.isoformat() for day in islice(dates_after(read_rule(rule), begin, begin), 2)] == expected


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=50",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYDAY=5MO;BYMONTH=2;BYSETPOS=9",
        "FREQ=DAILY;INTERVAL=1000;UNTIL=20260301",
    ],
)
def test_a_rule_without_dates_ends_soon(rule: str) -> None:
    start, begun = date(2026, 2, 1), time.process_time()
    assert list(dates_after(read_rule(rule), start, start)) == []
    assert time.process_time() - begun < 0.05


def test_a_series_that_began_long_ago_costs_no_more() -> None:
    begun = time.process_time()
    for rule in ("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO", "FREQ=MONTHLY", "FREQ=YEARLY"):
        assert next(dates_after(read_rule(rule), date(1901, 1, 1), date(2026, 3, 1))) > date(2026, 3, 1)
    assert time.process_time() - begun < 0.05


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        *[(rule, "NAME=VALUE") for rule in ("", "FREQ", "FREQ=", "every monday", "FREQ=DAILY;;COUNT=2")],
        *[(rule, "FREQ must be") for rule in ("FREQ=SECONDLY", "FREQ=HOURLY", "INTERVAL=2", "FREQ=DAILY,WEEKLY")],
        ("FREQ=DAILY;BYHOUR=9", "BYHOUR is not supported"),
        ("FREQ=DAILY;DTSTART=20260101", "DTSTART is not supported"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"),
        *[(f"FREQ=DAILY;COUNT={count}", "COUNT must be") for count in ("0", "-1", "1001", "9" * 99, "x", "٣")],
        *[(f"FREQ=DAILY;INTERVAL={count}", "INTERVAL must be") for count in ("0", "1001")],
        *[(f"FREQ=DAILY;UNTIL={until}", "UNTIL must be") for until in ("tomorrow", "20260231", "2026-03-01")],
        ("FREQ=DAILY;COUNT=2;UNTIL=20260301", "COUNT and UNTIL"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY must be"),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY has numbers"),
        ("FREQ=MONTHLY;BYDAY=MO,1TU", "with all of its days or with none"),
        ("FREQ=MONTHLY;BYDAY=6MO", "BYDAY asks for more"),
        ("FREQ=YEARLY;BYMONTH=2;BYDAY=53MO", "BYDAY asks for more"),
        ("FREQ=YEARLY;BYDAY=54MO", "from 1 to 53"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY must be"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY and BYSETPOS"),
        ("FREQ=YEARLY;BYMONTH=-1", "BYMONTH must be"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS needs"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "only where INTERVAL is 1"),
        ("FREQ=WEEKLY;INTERVAL=52;BYMONTH=3", "only where INTERVAL is 1"),
        ("FREQ=WEEKLY;WKST=1", "WKST must be"),
    ],
)
def test_a_rule_that_is_not_accepted_is_refused_in_words(rule: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        clean_rule(rule)


def test_a_rule_is_kept_in_one_form() -> None:
    assert clean_rule(" rrule:freq=weekly;byday=mo,we; ") == "FREQ=WEEKLY;BYDAY=MO,WE"
