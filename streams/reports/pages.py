"""What stands on the pages of each kind of report: from data to a document, without a look at anything else."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from core.calendar import day_of, due_moment
from core.sentences import Names, sentence
from db.insights.throughput import Week
from db.report_data.activity import ActivityData, Happened
from db.report_data.board import BoardData
from db.report_data.overdue import OverdueData
from db.report_data.team import Group, Line, Team
from db.zones import zone_named
from streams.reports.layout import Bar, Chart, Column, Document, Figure, Said, Section, Series, label, said
from streams.reports.times import (
    Parts,
    day_in_words,
    due_of,
    made_in_words,
    parts_of,
    period_in_words,
    time_of_day,
)

__all__ = ["Cover", "activity_report", "board_report", "overdue_report"]

NOBODY: Final = "Nobody"
NONE: Final = Said("\N{EN DASH}")
"""In place of an assignee, as of a priority or a date."""
FORMER: Final = "Former member"
MOST_PEOPLE: Final = 12
"""Bars of people on one chart: the rest are one bar."""

_KEY: Final = Column("Key", "key", "key")
_TITLE: Final = Column("Title", "said", "wide")
_PRIORITY: Final = Column("Priority", "priority", "priority")
_DUE: Final = Column("Due", "due", "due")
BOARD_COLUMNS: Final = (_KEY, _TITLE, _PRIORITY, Column("Assignee", "said", "said"), _DUE)
OVERDUE_COLUMNS: Final = (
    _KEY,
    _TITLE,
    _PRIORITY,
    Column("Column", "said", "said"),
    _DUE,
    Column("Late", "plain", "plain"),
)
ACTIVITY_COLUMNS: Final = (
    Column("Time", "key", "key"),
    _KEY,
    Column("Task", "said", "wide"),
    Column("What happened", "said", "wide"),
)


class Cover(Struct, frozen=True):
    """What every report says first: of whom, of which period, as of when, for whom."""

    team: Team
    since: datetime
    until: datetime
    now: datetime
    by: str

    @property
    def parts(self) -> Parts:
        """The period in days or weeks."""
        return parts_of(self.since, self.until, zone_named(self.team.time_zone))

    def document(self, title: str, **content: Any) -> Document:
        """A document of this title with the content."""
        zone = zone_named(self.team.time_zone)
        return Document(
            title=title,
            team=said(self.team.name),
            period=period_in_words(self.since, self.until, zone),
            made=made_in_words(self.now, zone),
            by=said(self.by),
            zone=self.team.time_zone,
            **content,
        )


def board_report(cover: Cover, data: BoardData) -> Document:
    """The board as it is now, column by column, with what was created and done in the period."""
    board = [(column, data.by_column.get(column.id, Group(0, ()))) for column in cover.team.columns]
    sections = [
        Section(
            said(column.name),
            _tasks(group.count),
            BOARD_COLUMNS,
            [_board_row(cover, line) for line in group.lines],
            column.category,
            _more(group.count - len(group.lines)),
        )
        for column, group in board
        if group.count
    ]
    total = sum(group.count for _, group in board)
    created, done = sum(part.created for part in data.throughput), sum(part.completed for part in data.throughput)
    bars = [Bar(label(column.name), (group.count,), column.category) for column, group in board]
    return cover.document(
        "Board",
        figures=(
            Figure("on the board now" if total != 1 else "task on the board now", f"{total:,}"),
            Figure("created in the period", f"{created:,}"),
            Figure("done in the period", f"{done:,}", "done"),
        ),
        charts=(Chart("Tasks by column", False, (Series("tasks", "open"),), bars), _throughput(cover, data.throughput)),
        sections=sections,
        empty="" if sections else "There is nothing on the board.",
    )


def overdue_report(cover: Cover, data: OverdueData) -> Document:
    """What is overdue, by assignee; who has most of it comes first, and what nobody has comes last."""
    late = sorted(data.by_assignee.items(), key=lambda one: (one[0] is None, -one[1].count, _person(cover, one[0])))
    sections = [
        Section(
            said(_person(cover, assignee)),
            _tasks(group.count),
            OVERDUE_COLUMNS,
            [_overdue_row(cover, line) for line in group.lines],
            "bad",
            _more(group.count - len(group.lines)),
        )
        for assignee, group in late
    ]
    ages = zip(("up to a week", "up to 30 days", "longer"), data.ages, strict=True)
    return cover.document(
        "Overdue",
        figures=(
            Figure("overdue", f"{sum(data.ages):,}", "bad" if sections else None),
            Figure("of them urgent or high", f"{data.pressing:,}"),
            Figure("of them nobody's", f"{data.by_assignee[None].count if None in data.by_assignee else 0:,}"),
        ),
        charts=(
            _people("By assignee", [(_person(cover, who), group.count) for who, group in late], "bad"),
            Chart(
                "For how long", False, (Series("tasks", "bad"),), [Bar(Said(age), (n,), "accent") for age, n in ages]
            ),
        )
        if sections
        else (),
        sections=sections,
        empty="" if sections else "Nothing is overdue.",
    )


def activity_report(cover: Cover, data: ActivityData) -> Document:
    """What happened, day by day, newest first."""
    zone = zone_named(cover.team.time_zone)
    names = Names(data.names, zone)
    by_day = groupby(data.newest, key=lambda one: day_of(one.row.at, zone))
    sections = [_day(day, list(happened), names) for day, happened in by_day]
    unprinted = data.total - len(data.newest)
    if unprinted:
        last = sections[-1]
        older = f"and {unprinted:,} earlier change{'s' if unprinted > 1 else ''} in the period"
        sections[-1] = Section(last.title, last.count, last.columns, last.rows, last.hue, older)
    people = sorted(((names.person(who), n) for who, n in data.by_actor.items()), key=lambda one: (-one[1], one[0]))
    return cover.document(
        "Activity",
        figures=(
            Figure("changes", f"{data.total:,}"),
            Figure("tasks created", f"{sum(part.get('task.created', 0) for part in data.by_part):,}"),
            Figure("tasks done", f"{sum(part.completed for part in data.throughput):,}", "done"),
            Figure("people took part", f"{len(data.by_actor):,}"),
        ),
        charts=(_changes(cover, data.by_part), _people("By person", people, "in_review")) if data.total else (),
        sections=sections,
        empty="" if sections else "Nothing happened in this period.",
    )


def _board_row(cover: Cover, line: Line) -> Sequence[Any]:
    assignee = NONE if line.assignee_id is None else said(_person(cover, line.assignee_id))
    due = due_of(line, cover.now, zone_named(cover.team.time_zone))
    return (f"{cover.team.key}-{line.number}", said(line.title), line.priority, assignee, due)


def _overdue_row(cover: Cover, line: Line) -> Sequence[Any]:
    zone = zone_named(cover.team.time_zone)
    column = next((said(one.name) for one in cover.team.columns if one.id == line.column_id), None)
    due = due_of(line, cover.now, zone)
    moment = due_moment(line.due_at, line.due_on, zone)
    assert moment is not None, "what is overdue was due"
    late = _late((day_of(cover.now, zone) - day_of(moment, zone)).days)
    return (f"{cover.team.key}-{line.number}", said(line.title), line.priority, column, due, late)


def _late(days: int) -> str:
    """How many days of the calendar ago it was due, whatever the hour: the reader has the dates before them."""
    return "today" if days == 0 else f"{days:,} day{'s' if days > 1 else ''}"


def _day(day: date, happened: Sequence[Happened], names: Names) -> Section:
    count = f"{len(happened):,} change{'s' if len(happened) > 1 else ''}"
    return Section(
        Said(f"{day:%A}, {day_in_words(day)}"), count, ACTIVITY_COLUMNS, [_activity_row(one, names) for one in happened]
    )


def _activity_row(one: Happened, names: Names) -> Sequence[Any]:
    task = getattr(one.event, "task", None)
    return (
        time_of_day(one.row.at, names.zone),
        getattr(task, "key", getattr(one.event, "key", "")),
        None if task is None or one.row.redacted else said(task.title),
        said(sentence(one.row, one.event, names), ours=True),
    )


def _throughput(cover: Cover, weeks: Sequence[Week]) -> Chart:
    parts = cover.parts
    series = (Series("created", "open"), Series("done", "done"))
    bars = [Bar(_tick(day), (week.created, week.completed)) for day, week in zip(parts.days, weeks, strict=True)]
    return Chart(f"Created and done by {parts.noun}", True, series, bars)


def _changes(cover: Cover, by_part: Sequence[Mapping[str, int]]) -> Chart:
    parts = cover.parts
    series = (Series("tasks created", "done"), Series("comments", "in_review"), Series("other changes", "open"))
    bars = [Bar(_tick(day), _kinds(types)) for day, types in zip(parts.days, by_part, strict=True)]
    return Chart(f"Changes by {parts.noun}", True, series, bars)


def _kinds(types: Mapping[str, int]) -> tuple[int, int, int]:
    created, comments = types.get("task.created", 0), types.get("comment.added", 0)
    return created, comments, sum(types.values()) - created - comments


def _people(title: str, counts: Iterable[tuple[str, int]], hue: Any) -> Chart:
    """Those with most of it, and all others as one bar."""
    listed = list(counts)
    bars = [Bar(label(name), (count,), hue) for name, count in listed[:MOST_PEOPLE]]
    if others := listed[MOST_PEOPLE:]:
        bars.append(Bar(Said(f"{len(others):,} others"), (sum(count for _, count in others),), "cancelled"))
    return Chart(title, False, (Series(title, hue),), bars)


def _tick(day: date) -> Said:
    return Said(f"{day.day} {day:%b}")


def _person(cover: Cover, user_id: UUID | None) -> str:
    return NOBODY if user_id is None else cover.team.members.get(user_id, FORMER)


def _tasks(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"


def _more(count: int) -> str:
    return f"and {count:,} more" if count else ""
