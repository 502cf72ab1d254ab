"""Tasks that recur: which date comes next, and when the next task is made.

A task that recurs carries its series. Once the time for the next one has come, the series passes on to a new task: the
old one keeps its recurrence with the id of the next, so that a series has one bearer, and asking twice makes one task.
Of dates that have gone by meanwhile there is no task: the next one is for the first date that is still ahead.

Dates are those of the team's zone, and so is the time of day of a task that is due at an instant: a time that a change
of the clocks skips means the first moment after the gap, a doubled one its first occurrence, and the next date has the
series' own time again.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import islice
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct, structs

from core.calendar import day_of, due_moment, wall_moment
from core.field_error import FieldError
from core.rules import LONGEST_RULE, clean_rule, dates_after, read_rule

__all__ = ["Due", "Recurrence", "RecurrenceRule", "When", "at_times_of", "begin", "following", "is_due", "upcoming"]

TimeOfDay = time
When = Literal["due", "done"]
"""When the next task is made: when this one is due, done or not, or when it is finished: done, or cancelled."""

Rule = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST_RULE,
        description="A rule of RFC 5545 over dates: FREQ (DAILY, WEEKLY, MONTHLY, YEARLY), INTERVAL, COUNT, UNTIL, "
        "BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS, WKST.",
        examples=["FREQ=WEEKLY;BYDAY=MO"],
    ),
]
MOST_SKIPPED: Final = 2_000
"""Dates that are passed over one by one, and counted; those beyond them are leapt over. COUNT is never as much."""
A_ZONE_AT_MOST: Final = timedelta(days=2)
"""What is so much before today is over, whatever the clocks of the zone do."""


class RecurrenceRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What a client says of a recurrence; the rest follows from when the task is due."""

    rule: Rule
    when: When = "due"

    def __post_init__(self) -> None:
        try:
            structs.force_setattr(self, "rule", clean_rule(self.rule))
        except ValueError as error:
            raise FieldError("rule", str(error)) from error


class Recurrence(Struct, frozen=True, kw_only=True, gc=False):
    """A task's place in its series. Events and answers have it in this very shape.

    `start` is the first date of the series, `on` the one that this task is for and `number` which of them it is,
    counted from 1; `time` is the local time of day, null for dates. `next_id` is the task that the series has passed on
    to, which may be gone by now.
    """

    rule: str
    when: When = "due"
    start: date
    on: date
    number: int = 1
    time: TimeOfDay | None = None
    next_id: UUID | None = None


class Due(Struct, frozen=True):
    """When a task is due: an instant or a date, as everywhere."""

    due_at: datetime | None
    due_on: date | None


def begin(wanted: RecurrenceRule, due: Due, zone: tzinfo) -> Recurrence:
    """A series that begins with a task due then. Raises ValueError when no date follows the first one."""
    if due.due_on is not None:
        start, at = due.due_on, None
    elif due.due_at is not None:
        local = due.due_at.astimezone(zone)
        start, at = local.date(), local.time().replace(fold=0)
    else:
        raise ValueError("a task that recurs is due: give it a due_on or a due_at")
    recurrence = Recurrence(rule=wanted.rule, when=wanted.when, start=start, on=start, time=at)
    if next(_further(recurrence), None) is None:
        raise ValueError("no date of this rule follows the task's own")
    return recurrence


def at_times_of(recurrence: Recurrence, due: Due, zone: tzinfo) -> Recurrence:
    """The series of a task that is due then: one of instants has a time of day, and one of dates has none.

    The time stays what it was while the task is put off from one instant to another.
    """
    if due.due_at is None:
        return structs.replace(recurrence, time=None)
    if recurrence.time is not None:
        return recurrence
    return structs.replace(recurrence, time=due.due_at.astimezone(zone).time().replace(fold=0))


def is_due(recurrence: Recurrence, due: Due, finished: bool, zone: tzinfo, now: datetime) -> bool:
    """Whether the time for the next task has come."""
    if recurrence.next_id is not None:
        return False
    if recurrence.when == "done":
        return finished
    moment = due_moment(due.due_at, due.due_on, zone)
    return moment is not None and moment <= now


def following(recurrence: Recurrence, zone: tzinfo, now: datetime) -> tuple[Recurrence, Due] | None:
    """The series at its next date that is not over at `now`, and when a task for that is due; None at its end."""
    for number, day in _ahead(recurrence, day_of(now, zone) - A_ZONE_AT_MOST):
        due = _due(recurrence, day, zone)
        moment = due_moment(due.due_at, due.due_on, zone)
        if moment is not None and moment > now:
            return structs.replace(recurrence, on=day, number=recurrence.number + number), due
    return None


def upcoming(recurrence: Recurrence, zone: tzinfo, now: datetime, most: int) -> list[date]:
    """The dates of the next tasks of the series as they come when each is made in time, at most so many."""
    found = following(recurrence, zone, now)
    if found is None:
        return []
    following_one, _ = found
    return [following_one.on, *islice(_further(following_one), most - 1)]


def _ahead(recurrence: Recurrence, gone: date) -> Iterator[tuple[int, date]]:
    """The further dates and how many of the series they are away; a leap to what is after `gone` counts as one."""
    for number, day in enumerate(_further(recurrence), 1):
        if number > MOST_SKIPPED and day <= gone:
            yield from enumerate(dates_after(read_rule(recurrence.rule), recurrence.start, gone), number)
            return
        yield number, day


def _further(recurrence: Recurrence) -> Iterator[date]:
    """The dates of the series after the one that it is at."""
    rule = read_rule(recurrence.rule)
    dates = dates_after(rule, recurrence.start, recurrence.on)
    return dates if rule.count is None else islice(dates, max(0, rule.count - recurrence.number))


def _due(recurrence: Recurrence, day: date, zone: tzinfo) -> Due:
    if recurrence.time is None:
        return Due(None, day)
    return Due(wall_moment(datetime.combine(day, recurrence.time), zone), None)
