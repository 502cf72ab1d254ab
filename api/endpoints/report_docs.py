"""How the endpoints of reports are documented, and the shapes of their bodies."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import Meta, Struct, field

from api import paths
from api.endpoints.operations import OPERATION_EXAMPLE, OperationAnswer
from api.endpoints.team_docs import OF_TEAM
from api.object_links import LINK_SECONDS
from api.openapi import MIN_SEQ, PAGE, Operation, Reply
from api.paths import link
from core.rights import MAKE_REPORTS, READ, in_team
from db.reports import AT_ONCE, ReportKind
from streams.operations.report import REPORT, REPORT_DAYS

__all__ = ["MOST_DAYS", "OPERATIONS", "NewReport", "ReportAnswer", "ReportPage"]

MOST_DAYS: Final = 366
"""How long a period may be."""


class NewReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be printed. Dates are judged in the team's zone: a period of dates has its last day in it."""

    kind: Annotated[ReportKind, Meta(description="The board as it is, what is overdue, or what happened.")]
    since: (
        Annotated[str, Meta(max_length=40, description="A date, or an instant; default: 27 days before `to`.")] | None
    ) = field(default=None, name="from")
    until: (
        Annotated[
            str, Meta(max_length=40, description="The last day, or the instant before which it ends; default: today.")
        ]
        | None
    ) = field(default=None, name="to")


class ReportAnswer(Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """A report: what happened from `from` (null: since ever) to before `to`, as of the team's `seq`.

    `to` is the first moment after the last day that was asked for. `bytes` is its size, `digest` the SHA-256
    of the PDF in hexadecimal. `download_url` is the asker's own and is made anew for each answer."""

    id: UUID
    team_id: UUID
    kind: ReportKind
    since: datetime | None
    until: datetime
    pages: int
    bytes: int
    digest: str
    seq: int
    created_by: UUID
    created_at: datetime
    expires_at: datetime
    download_url: str


class ReportPage(Struct, frozen=True):
    """A page of a team's reports, newest first."""

    items: list[ReportAnswer]
    next_cursor: str | None


_TEAM: Final = "019a3b1e-5c00-7000-8000-00000000000a"
EXAMPLE: Final[dict[str, Any]] = {
    "id": "019a3b1e-8a00-7000-8000-0000000000c1",
    "team_id": _TEAM,
    "kind": "activity",
    "from": "2026-01-31T23:00:00Z",
    "to": "2026-02-28T23:00:00Z",
    "pages": 3,
    "bytes": 61_204,
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "seq": 117,
    "created_by": "019a3b1e-5b00-7000-8000-000000000001",
    "created_at": "2026-03-01T09:00:00Z",
    "expires_at": "2026-03-31T09:00:00Z",
    "download_url": link(paths.OBJECT, "R0VUAZo7HooAcACAAAAAAAAAwQ").decode(),
}
_ADDRESS: Final = f"`download_url` is good for {LINK_SECONDS} seconds, and for no longer than you are a member."

OPERATIONS: Final = (
    Operation(
        method="POST",
        path=paths.TEAM_REPORTS,
        id="makeReport",
        summary="Have a report printed",
        tag="Reports",
        description=(
            "Starts an operation whose result is the report, a PDF: `board` has the columns and their tasks as they "
            "are, and what was created and done in the period; `overdue` has what was due in it and is late, by "
            "assignee (without `from`: since ever); `activity` says what happened to tasks, day by day. At most 2,000 "
            "rows are printed, and it is said how many are not. `from` and `to` are dates in the team's zone, the last "
            "one with all of its day (that of `stats` ends before the day it names), or instants; at "
            f"most {MOST_DAYS} days. Every member may read it, for "
            f"{REPORT_DAYS} days or until something in it is deleted for good. {AT_ONCE} of yours at a time: another "
            "is refused with 409 (`conflict`, reason `reports-running`)."
        ),
        parameters=(MIN_SEQ,),
        body=NewReport,
        body_example={"kind": "activity", "from": "2026-02-01", "to": "2026-02-28"},
        replies={
            202: Reply(
                description="The operation has been started.",
                body=OperationAnswer,
                headers=("Location", "Cache-Control", *OF_TEAM),
                example={
                    **OPERATION_EXAMPLE,
                    "kind": REPORT.kind,
                    "team_id": _TEAM,
                    "status": "waiting",
                    "steps": [{"name": step, "status": "waiting"} for step in REPORT.steps],
                    "progress": 0.0,
                },
            )
        },
        problems=("not-found", "forbidden", "conflict", "unavailable", "ahead-of-history", "history-rewritten"),
        keyed=True,
        requires=in_team(MAKE_REPORTS),
    ),
    Operation(
        method="GET",
        path=paths.TEAM_REPORTS,
        id="listReports",
        summary="Reports of a team",
        tag="Reports",
        description=f"Those that are kept, newest first. {_ADDRESS}",
        parameters=(*PAGE, MIN_SEQ),
        replies={
            200: Reply(
                description="A page.",
                body=ReportPage,
                headers=("Cache-Control", *OF_TEAM),
                example={"items": [EXAMPLE], "next_cursor": None},
            )
        },
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.TEAM_REPORT,
        id="getReport",
        summary="One report",
        tag="Reports",
        description=f"What is known of it, and where its PDF is. {_ADDRESS}",
        parameters=(MIN_SEQ,),
        replies={
            200: Reply(
                description="The report.", body=ReportAnswer, headers=("Cache-Control", *OF_TEAM), example=EXAMPLE
            )
        },
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
)
