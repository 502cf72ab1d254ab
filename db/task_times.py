"""What a query asks of times, as SQL. A bound is one value, or one for each zone where dates make a difference.

Postgres compares dates with dates and instants with instants; which instant a date begins at has been found before
(`core.windows`), so that the answer does not depend on the server's own idea of time zones.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import Any, Final

from core.query import TaskQuery
from core.windows import FINISHED, Due, Range, Window
from db.arguments import Arguments
from db.zones import DueDays

__all__ = ["DUE_MOMENT", "due_days_join", "time_conditions"]

DUE_MOMENT: Final = "coalesce(t.due_at, y.moment)"
"""When a task is due, once `due_days_join` is there."""
_MOMENTS: Final = (("created", "t.created_at"), ("updated", "t.updated_at"), ("completed", "t.completed_at"))
_INSTANT, _DATE = "timestamptz", "date"


class _Bounds:
    """Collects bounds; those that differ between zones become columns of a table `w` with a row for each zone."""

    def __init__(self, windows: Mapping[str, Window], arguments: Arguments) -> None:
        self._windows, self._arguments = windows, arguments
        self._columns: list[tuple[str, Sequence[Any]]] = []

    def add(self, kind: str, of: Callable[[Window], datetime | date | None]) -> str:
        values = [of(window) for window in self._windows.values()]
        if len(set(values)) == 1:
            return self._arguments.add(values[0], kind)
        self._columns.append((kind, values))
        return f"w.b{len(self._columns)}"

    def join(self) -> str:
        if not self._columns:
            return ""
        arrays = [self._arguments.add(list(self._windows), "text[]")]
        arrays += [self._arguments.add(values, f"{kind}[]") for kind, values in self._columns]
        names = ["zone", *(f"b{number + 1}" for number in range(len(self._columns)))]
        return f"join unnest({', '.join(arrays)}) as w({', '.join(names)}) on w.zone = g.time_zone"


def time_conditions(query: TaskQuery, zones: Mapping[str, tzinfo], arguments: Arguments) -> tuple[str, list[str]]:
    """A join with the bounds of each zone (perhaps none), and the conditions on `t`. There is at least one zone."""
    windows = {name: query.window(zone) for name, zone in zones.items()}
    window, bounds, found = next(iter(windows.values())), _Bounds(windows, arguments), list[str]()
    for name, column in _MOMENTS:
        if getattr(window, name) is not None:
            found += _within(column, _INSTANT, bounds, lambda one, name=name: getattr(one, name))  # type: ignore[misc]
    for number in range(len(window.due)):
        found.append(_due(bounds, lambda one, number=number: one.due[number]))  # type: ignore[misc]
    if window.past is not None:
        found.append(_overdue(bounds, wanted=window.overdue))
    return bounds.join(), found


def due_days_join(days: DueDays, arguments: Arguments) -> str:
    """Adds `y.moment`, when a task is due that is due on a date."""
    zones = arguments.add([zone for zone, _ in days], "text[]")
    dates, moments = arguments.add([day for _, day in days], "date[]"), arguments.add([*days.values()], "timestamptz[]")
    table = f"unnest({zones}, {dates}, {moments}) as y(zone, day, moment)"
    return f"left join {table} on y.day = t.due_on and y.zone = g.time_zone"


def _within(column: str, kind: str, bounds: _Bounds, of: Callable[[Window], Range[Any]]) -> list[str]:
    first = next(iter(bounds._windows.values()))  # noqa: SLF001 (of this module)
    found = []
    if of(first).since is not None:
        found.append(f"{column} >= {bounds.add(kind, lambda one: of(one).since)}")
    if of(first).until is not None:
        found.append(f"{column} < {bounds.add(kind, lambda one: of(one).until)}")
    return found


def _due(bounds: _Bounds, of: Callable[[Window], Due]) -> str:
    at = " and ".join(_within("t.due_at", _INSTANT, bounds, lambda one: of(one).at))
    on = " and ".join(_within("t.due_on", _DATE, bounds, lambda one: of(one).on))
    return f"({at} or {on})"


def _overdue(bounds: _Bounds, *, wanted: bool) -> str:
    finished = ", ".join(f"'{status}'" for status in FINISHED)
    past = _due(bounds, _past)
    return f"(t.status not in ({finished}) and t.archived_at is null and {past}) is {'true' if wanted else 'not true'}"


def _past(window: Window) -> Due:
    assert window.past is not None
    return window.past
