"""Rules of recurrence (RFC 5545, 3.3.10) over calendar dates: what is accepted, and which dates a rule has.

A rule says on which dates; the time of day, where there is one, stands beside it. So rules are those of days, weeks,
months and years. `python-dateutil` expands them, one period at a time: asked for a whole series it would look for the
30th of February until the year 9999, and whoever sends a rule must not decide how long we think about it. Within
`PERIODS` periods every rule has a date, or it is refused.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, get_args

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule, weekday
from msgspec import Struct

__all__ = ["LONGEST_RULE", "Frequency", "Rule", "clean_rule", "dates_after", "read_rule"]

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
FREQUENCIES: Final[Mapping[str, Literal[1, 0, 2, 3]]] = {
    "DAILY": DAILY,
    "WEEKLY": WEEKLY,
    "MONTHLY": MONTHLY,
    "YEARLY": YEARLY,
}
DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LONGEST_RULE: Final = 200
MOST: Final = 1_000
"""Of COUNT and INTERVAL."""
PERIODS: Final = 60
"""Months or years in which a date is looked for. A Monday on 29 February needs up to forty years."""
ONLY_PERIOD: Final = 120_000
"""An interval, in months or years, beyond the last year of the library: it stops after one period."""
LAST: Final = date(9000, 1, 1)
"""Later dates no task can have."""

_DAY: Final = re.compile(r"([+-]?[1-9][0-9]?)?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,3}")
_UNTIL: Final = re.compile(r"([0-9]{8})(T[0-9]{6}Z?)?")


class Rule(Struct, frozen=True, kw_only=True):
    """A rule, read. `weekdays` are (day, which of them): Monday is 0, and 0 means every one. `until` is included."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: date | None = None
    weekdays: tuple[tuple[int, int], ...] = ()
    month_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0


def clean_rule(text: str) -> str:
    """The rule as it is kept: in upper case, without `RRULE:` and blanks. Raises ValueError, in words for people."""
    cleaned = text.strip().upper().removeprefix("RRULE:").rstrip(";")
    read_rule(cleaned)
    return cleaned


@lru_cache(maxsize=1_024)
def read_rule(text: str) -> Rule:
    """The rule of a text. Raises ValueError, in words for people."""
    parts = _parts(text)
    frequency: Any = parts.pop("FREQ", None)
    if frequency not in get_args(Frequency):
        raise ValueError("FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY")
    given = {_FIELDS[name][0]: _FIELDS[name][1](value, name) for name, value in parts.items()}
    rule = Rule(frequency=frequency, **given)
    _check(rule)
    return rule


def _parts(text: str) -> dict[str, str]:
    found = dict[str, str]()
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError("a rule is NAME=VALUE pairs with semicolons between them, such as FREQ=WEEKLY;BYDAY=MO")
        if name in found:
            raise ValueError(f"{name} is given twice")
        if name != "FREQ" and name not in _FIELDS:
            raise ValueError(f"{name[:20]} is not supported: there are FREQ, {', '.join(_FIELDS)}")
        found[name] = value
    return found


def _check(rule: Rule) -> None:
    """What the parts must be together; the first words are those of the part that is wrong."""
    monthly, yearly = rule.frequency == "MONTHLY", rule.frequency == "YEARLY"
    if rule.count is not None and rule.until is not None:
        raise ValueError("COUNT and UNTIL do not go together")
    if any(which for _, which in rule.weekdays) and not (monthly or yearly):
        raise ValueError("BYDAY has numbers with MONTHLY and YEARLY only")
    if len({which == 0 for _, which in rule.weekdays}) > 1:
        raise ValueError("BYDAY has numbers with all of its days or with none")
    if (monthly or rule.months) and any(abs(which) > 5 for _, which in rule.weekdays):
        raise ValueError("BYDAY asks for more days than a month has")
    if not (monthly or yearly) and (rule.month_days or rule.positions):
        raise ValueError("BYMONTHDAY and BYSETPOS go with MONTHLY and YEARLY only")
    if rule.positions and not (rule.weekdays or rule.month_days or rule.months):
        raise ValueError("BYSETPOS needs another BY… part")
    if rule.frequency == "DAILY" and rule.interval > 1 and (rule.weekdays or rule.months):
        raise ValueError("BYDAY and BYMONTH go with DAILY only where INTERVAL is 1")
    if rule.frequency == "WEEKLY" and rule.interval > 1 and rule.months:
        raise ValueError("BYMONTH goes with WEEKLY only where INTERVAL is 1")


def _number(value: str, name: str) -> int:
    if not value.isdecimal() or not value.isascii() or not 1 <= int(value[:5]) <= MOST:
        raise ValueError(f"{name} must be a number from 1 to {MOST}")
    return int(value)


def _last_date(value: str, name: str) -> date:
    found = _UNTIL.fullmatch(value)
    try:
        if found is None:
            raise ValueError
        return datetime.strptime(found[1], "%Y%m%d").date()  # noqa: DTZ007 (a date)
    except ValueError:
        raise ValueError(f"{name} must be a date such as 20261231") from None


def _weekdays(value: str, name: str) -> tuple[tuple[int, int], ...]:
    found = [_DAY.fullmatch(one) for one in value.split(",")]
    if None in found:
        raise ValueError(f"{name} must be days such as MO,WE or 1MO or -1FR")
    days = [(DAYS.index(one[2]), int(one[1] or 0)) for one in found if one is not None]
    if any(abs(which) > 53 for _, which in days):
        raise ValueError(f"{name} has numbers from 1 to 53")
    return tuple(dict.fromkeys(days))


def _numbers(value: str, name: str, most: int, *, negative: bool = True) -> tuple[int, ...]:
    parts = value.split(",")
    numbers = [int(part) for part in parts if _NUMBER.fullmatch(part)]
    if len(numbers) < len(parts) or any(not 1 <= abs(one) <= most or (one < 0 and not negative) for one in numbers):
        either = f", or -1 to -{most} from the end" if negative else ""
        raise ValueError(f"{name} must be numbers from 1 to {most}{either}")
    return tuple(dict.fromkeys(numbers))


def _week_start(value: str, name: str) -> int:
    if value not in DAYS:
        raise ValueError(f"{name} must be one of {', '.join(DAYS)}")
    return DAYS.index(value)


_FIELDS: Final[dict[str, tuple[str, Any]]] = {
    "INTERVAL": ("interval", _number),
    "COUNT": ("count", _number),
    "UNTIL": ("until", _last_date),
    "BYDAY": ("weekdays", _weekdays),
    "BYMONTHDAY": ("month_days", lambda value, name: _numbers(value, name, 31)),
    "BYMONTH": ("months", lambda value, name: _numbers(value, name, 12, negative=False)),
    "BYSETPOS": ("positions", lambda value, name: _numbers(value, name, 366)),
    "WKST": ("week_start", _week_start),
}


def dates_after(rule: Rule, start: date, after: date) -> Iterator[date]:
    """The dates of the rule later than `after`, in order. INTERVAL counts from `start`, the first date of the series.

    COUNT is not looked at: how many there have been is known to whoever asks. Ends with UNTIL, and where there is no
    date for too long.
    """
    last = min(rule.until or LAST, LAST)
    after = max(after, start)
    found = _in_days(rule, start, after) if rule.frequency in ("DAILY", "WEEKLY") else _in_months(rule, start, after)
    for day in found:
        if day > last:
            return
        yield day


def _in_days(rule: Rule, start: date, after: date) -> Iterator[date]:
    """Of days and weeks: always a date within a year of the library's first one."""
    step = timedelta(days=rule.interval * (7 if rule.frequency == "WEEKLY" else 1))
    first = start if rule.frequency == "DAILY" else start - timedelta(days=(start.weekday() - rule.week_start) % 7)
    first += step * max(0, (after - first) // step)
    for moment in _expansion(rule, start, first, rule.interval):
        if moment.date() > after:
            yield moment.date()


def _in_months(rule: Rule, start: date, after: date) -> Iterator[date]:
    """Of months and years, each period alone. Those that `BYMONTH` leaves out cost nothing."""
    months = rule.interval * (12 if rule.frequency == "YEARLY" else 1)
    begin = start.year * 12 + (start.month - 1 if rule.frequency == "MONTHLY" else 0)
    number = max(0, (after.year * 12 + after.month - 1 - begin) // months)
    in_vain = 0
    while in_vain < PERIODS:
        year, month = divmod(begin + months * number, 12)
        number += 1
        if year >= LAST.year:
            return
        if rule.frequency == "MONTHLY" and rule.months and month + 1 not in rule.months:
            continue
        days = [moment.date() for moment in _expansion(rule, start, date(year, month + 1, 1), ONLY_PERIOD)]
        new = [day for day in days if day > after]
        in_vain = 0 if days else in_vain + 1
        yield from new


def _expansion(rule: Rule, start: date, first: date, interval: int) -> Iterator[datetime]:
    """The library's dates from `first` on. What a rule leaves open is taken from the start of its series."""
    implied = _implied(rule, start)
    found: Iterator[datetime] = iter(
        rrule(
            FREQUENCIES[rule.frequency],
            dtstart=datetime(first.year, first.month, first.day),  # noqa: DTZ001 (a date)
            interval=interval,
            wkst=rule.week_start,
            byweekday=[weekday(day, which or None) for day, which in rule.weekdays] or implied.get("byweekday"),
            bymonthday=rule.month_days or implied.get("bymonthday"),
            bymonth=rule.months or implied.get("bymonth"),
            bysetpos=rule.positions or None,
        )
    )
    return found


def _implied(rule: Rule, start: date) -> dict[str, int]:
    """The parts that a rule does not say (RFC 5545: "derived from DTSTART")."""
    if rule.weekdays or rule.month_days:
        return {}
    match rule.frequency:
        case "WEEKLY":
            return {"byweekday": start.weekday()}
        case "MONTHLY":
            return {"bymonthday": start.day}
        case "YEARLY":
            return {"bymonthday": start.day} | ({} if rule.months else {"bymonth": start.month})
        case _:
            return {}
