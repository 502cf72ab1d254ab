"""What the answers about a team as a whole look like, and how they are documented."""

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from api import paths
from api.endpoints.team_docs import OF_TEAM
from api.openapi import MIN_SEQ, PAGE, Operation, Parameter, Reply
from core.rights import READ, in_team
from core.task import Priority, Status

__all__ = ["MOST_TASKS", "MOST_WEEKS", "OPERATIONS"]

MOST_TASKS: Final = 20
"""Of an assignee, in an answer about what is overdue; the list of tasks has all of them."""
MOST_WEEKS: Final = 106
"""Two years."""


class OverdueTask(Struct, frozen=True, kw_only=True):
    """What a reminder says of a task."""

    id: UUID
    number: int
    key: str
    title: str
    status: Status
    priority: Priority
    due_at: datetime | None
    due_on: date | None


class Overdue(Struct, frozen=True):
    """How many tasks are overdue, and those that have been for longest."""

    count: int
    tasks: tuple[OverdueTask, ...]


class OverdueOf(Overdue, frozen=True):
    """Those of one assignee."""

    assignee_id: UUID


class OverduePage(Struct, frozen=True):
    """What was overdue at the moment `at`: `total` of the team's tasks, by assignee; `unassigned` is on every page."""

    at: datetime
    total: int
    unassigned: Overdue
    items: tuple[OverdueOf, ...]
    next_cursor: str | None


class CycleTime(Struct, frozen=True):
    """From created to done: half of the tasks took no longer than the median, nine of ten no longer than p90."""

    completed: int
    median_seconds: float | None
    p90_seconds: float | None


class WeekStats(Struct, frozen=True):
    """A week of the team's calendar, named by its Monday."""

    week: date
    created: int
    completed: int


class StatusStats(Struct, frozen=True):
    """Tasks on the board now."""

    status: Status
    tasks: int


class ColumnStats(Struct, frozen=True):
    """Tasks on the board now."""

    column_id: UUID
    tasks: int


class AssigneeStats(CycleTime, frozen=True):
    """`open` tasks are on the board now, neither done nor cancelled; null stands for nobody."""

    assignee_id: UUID | None
    open: int


class StatsAnswer(Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """What happened from `from` to before `to`, and what is on the board now."""

    since: datetime
    until: datetime
    time_zone: str
    throughput: tuple[WeekStats, ...]
    cycle_time: CycleTime
    by_status: tuple[StatusStats, ...]
    by_column: tuple[ColumnStats, ...]
    by_assignee: tuple[AssigneeStats, ...]


_TIME: Final = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
_PROBLEMS: Final = ("not-found", "bad-input", "ahead-of-history", "history-rewritten")
_TEAM: Final = "019a3b1e-5c00-7000-8000-00000000000a"
_ADA: Final = "019a3b1e-5b00-7000-8000-000000000001"
_LATE: Final[dict[str, Any]] = {
    "count": 1,
    "tasks": [
        {
            "id": "019a3b1e-6d00-7000-8000-00000000002a",
            "number": 42,
            "key": "ENG-42",
            "title": "Ship the board",
            "status": "in_progress",
            "priority": "high",
            "due_at": None,
            "due_on": "2026-03-01",
        }
    ],
}
_NUMBERS: Final[dict[str, Any]] = {"completed": 7, "median_seconds": 86400.0, "p90_seconds": 604800.0}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.TEAM_OVERDUE,
        id="readOverdue",
        summary="What is overdue, by assignee",
        tag="Teams",
        description=(
            "For each assignee how many tasks are overdue and those that have been for longest, by the assignees' ids; "
            "those of nobody apart. All of somebody's: `GET /v1/tasks?team_id=…&overdue=true&assignee=…&sort=due_at`."
        ),
        parameters=(
            *PAGE,
            Parameter(
                name="tasks",
                schema={"type": "integer", "minimum": 0, "maximum": MOST_TASKS, "default": 5},
                description="Most tasks of each assignee.",
            ),
            MIN_SEQ,
        ),
        replies={
            200: Reply(
                description="A page of assignees.",
                body=OverduePage,
                headers=OF_TEAM,
                example={
                    "at": "2026-03-02T09:00:00Z",
                    "total": 1,
                    "unassigned": {"count": 0, "tasks": []},
                    "items": [{"assignee_id": _ADA, **_LATE}],
                    "next_cursor": None,
                },
            )
        },
        problems=_PROBLEMS,
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.TEAM_STATS,
        id="readStats",
        summary="How a team is doing",
        tag="Teams",
        description=(
            "What was created and done in each week of the team's calendar, how long it took from created to done, and "
            "what is on the board now by status, column and assignee. Archived tasks count as what was done."
        ),
        parameters=(
            Parameter(
                name="from",
                schema=_TIME,
                description="A date (in the team's time zone) or an instant; else the Monday eleven weeks before.",
                example="2026-01-05",
            ),
            Parameter(
                name="to",
                schema=_TIME,
                description="What happened before this, so not on a date that is named here (which of reports is the "
                f"last day); else to the end of today. At most {MOST_WEEKS} weeks.",
                example="2026-03-02",
            ),
            MIN_SEQ,
        ),
        replies={
            200: Reply(
                description="The numbers.",
                body=StatsAnswer,
                headers=OF_TEAM,
                example={
                    "from": "2026-02-22T23:00:00Z",
                    "to": "2026-03-01T23:00:00Z",
                    "time_zone": "Europe/Berlin",
                    "throughput": [{"week": "2026-02-23", "created": 9, "completed": 7}],
                    "cycle_time": _NUMBERS,
                    "by_status": [{"status": "open", "tasks": 12}],
                    "by_column": [{"column_id": _TEAM, "tasks": 12}],
                    "by_assignee": [{"assignee_id": _ADA, "open": 3, **_NUMBERS}],
                },
            )
        },
        problems=_PROBLEMS,
        requires=in_team(READ),
    ),
)
