"""Times in the words of a report, in the team's zone."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from msgspec import Struct

from core.calendar import ONE_DAY, TICK, day_of, day_start, due_moment
from core.task import FIRST_YEAR
from db.report_data.team import Line
from streams.reports.layout import Due

__all__ = ["Parts", "day_in_words", "days_ago", "due_of", "made_in_words", "parts_of", "period_in_words", "time_of_day"]

TO: Final = " \N{EN DASH} "
MOST_DAYS: Final = 35
"""Days that a chart shows singly; longer periods are shown by weeks."""
ONE_WEEK: Final = timedelta(weeks=1)


class Parts(Struct, frozen=True):
    """A period in days or weeks: the first day and the beginning of each. `noun` is "day" or "week"."""

    noun: str
    days: Sequence[date]
    begins: Sequence[datetime]


def parts_of(since: datetime, until: datetime, zone: tzinfo) -> Parts:
    """The days of the period, or its weeks from Monday on if there are many."""
    first, last = day_of(since, zone), day_of(until - TICK, zone)
    by_day = last - first < ONE_DAY * MOST_DAYS
    step = ONE_DAY if by_day else ONE_WEEK
    start = first if by_day else first - ONE_DAY * first.weekday()
    days = [start + step * number for number in range((last - start) // step + 1)]
    return Parts("day" if by_day else "week", days, [day_start(day, zone) for day in days])


def day_in_words(day: date, *, this_year: int | None = None) -> str:
    """`3 November 2026`, without the year if it is this one."""
    return f"{day.day} {day:%B}" + ("" if day.year == this_year else f" {day.year}")


def made_in_words(moment: datetime, zone: tzinfo) -> str:
    """`28 November 2026, 04:20`."""
    there = moment.astimezone(zone)
    return f"{day_in_words(there.date())}, {there:%H:%M}"


def period_in_words(since: datetime, until: datetime, zone: tzinfo) -> str:
    """The first and the last day, as shortly as they can be told apart; the last one alone where all time is meant."""
    first, last = day_of(since, zone), day_of(until - TICK, zone)
    if first.year <= FIRST_YEAR:
        return f"until {day_in_words(last)}"
    if first == last:
        return day_in_words(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}{TO}{day_in_words(last)}"
    return f"{day_in_words(first, this_year=last.year)}{TO}{day_in_words(last)}"


def time_of_day(moment: datetime, zone: tzinfo) -> str:
    """`04:20`."""
    return f"{moment.astimezone(zone):%H:%M}"


def due_of(line: Line, now: datetime, zone: tzinfo) -> Due | None:
    """When the task is due: what is finished is never late."""
    moment = due_moment(line.due_at, line.due_on, zone)
    if moment is None:
        return None
    there = line.due_on or moment.astimezone(zone).date()
    year = "" if there.year == now.astimezone(zone).year else f" {there.year}"
    clock = "" if line.due_at is None else f", {time_of_day(moment, zone)}"
    return Due(f"{there.day} {there:%b}{year}{clock}", moment < now and line.status not in ("done", "cancelled"))


def days_ago(now: datetime, days: int) -> datetime:
    """So many times 24 hours before."""
    return now - timedelta(days=days)
