"""The orders of a board's tasks: kept in step with changes, and asked for what time alone has changed."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import structs

from core.calendar import TICK
from core.query import SortField, SortKey, TaskQuery, sort_key
from core.task import Task
from core.team import TeamState

__all__ = ["move", "settled", "zone_of"]

BEFORE_ALL: Final = datetime(1800, 1, 1, tzinfo=UTC)
"""Earlier than anything is due, and yet a day in every zone."""


def zone_of(state: TeamState) -> tzinfo:
    """The zone in which the team's dates are judged; UTC for a team that is only being made."""
    return UTC if state.team is None else _zone(state.team.time_zone)


@cache
def _zone(name: str) -> tzinfo:
    """Names were checked when they were set. There are some 600, of a few kB each."""
    return ZoneInfo(name)


def move(order: list[SortKey], field: SortField, zone: tzinfo, before: Task | None, after: Task | None) -> None:
    """Take a task out of its place in the order, and put it into its new one; None is no place."""
    old = None if before is None else sort_key(before, field, zone)
    new = None if after is None else sort_key(after, field, zone)
    if old == new:
        return
    if old is not None:
        del order[bisect_left(order, old)]
    if new is not None:
        insort(order, new)


def settled(query: TaskQuery, now: datetime, by_due: Sequence[SortKey] | None) -> TaskQuery:
    """The query with the `now` that it needs.

    That is the moment at which something became overdue last, if the tasks are at hand in the order of `due_at`: then
    the same answer is the same query, also later.
    """
    if query.overdue is None:
        return query
    if by_due is not None:
        passed = bisect_left(by_due, (False, now))
        now = by_due[passed - 1][1] + TICK if passed else BEFORE_ALL
    return structs.replace(query, now=now)
