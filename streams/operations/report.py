"""The making of a report: a place for it, the PDF in that place, and nothing else there.

    reserve ──► write ──► tidy
                  ▲ pivot: from here on members of the team find it

Who dies while writing has it written once more, under a key of that attempt's own; one of them is kept.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import anyio
from msgspec import Struct, convert, structs

from core.calendar import TICK, day_of
from core.task import FIRST_YEAR
from core.windows import due_between
from db import objects
from db.notices.notify import Collecting, Notice, notify
from db.object_store import ObjectStore, Stored
from db.past.snapshots import drops
from db.pool import Pool
from db.report_data.activity import read_activity
from db.report_data.board import read_board
from db.report_data.overdue import read_overdue_tasks
from db.report_data.team import label_of, read_team
from db.reports import OBJECT_KIND, Report, ReportKind, keep
from db.transaction import Reading, Writing, reading
from db.zones import zone_named
from streams.operations.kinds import Context, Kind, Plan, Refused, Step
from streams.reports.fonts import ExtraMissing
from streams.reports.layout import Document
from streams.reports.pages import FORMER, Cover, activity_report, board_report, overdue_report
from streams.reports.printing import CannotBePrinted, print_report
from streams.reports.times import days_ago
from streams.scratch import scratch_folder

__all__ = ["REPORT", "REPORT_DAYS", "ReadReport", "ReportPorts", "Wanted", "file_name", "read_report", "report"]

REPORT: Final = Plan("report", ("reserve", "write", "tidy"))
REPORT_DAYS: Final = 30
"""How long a report is kept."""
MEDIA_TYPE: Final = "application/pdf"
LARGEST_BYTES: Final = 64 * 1024 * 1024


class Wanted(Struct, frozen=True):
    """What an operation of this kind is started with: its `data`."""

    report: ReportKind
    since: datetime
    until: datetime


class ReportPorts(Struct, frozen=True):
    """What reports are made with: the worker's pool, the store (None: there is none), and how mails collect."""

    worker: Pool
    store: ObjectStore | None
    collecting: Collecting = Collecting()


class ReadReport(Struct, frozen=True):
    """A document, of which `seq` of its team, and how often the team's copies had been dropped before it was read."""

    document: Document
    seq: int
    made_after: int
    at: datetime


class _Written(Struct, frozen=True):
    """What an attempt at writing came to."""

    stored: Stored
    pages: int
    read: ReadReport


def report(ports: ReportPorts) -> Kind:
    """The kind of operation that makes one; its `data` is a `Wanted`."""
    steps = _Steps(ports)
    return Kind(
        REPORT,
        (
            Step(name="reserve", effect=steps.reserve, undo=steps.give_up),
            Step(name="write", role="pivot", outside=steps.write, effect=steps.hand_over),
            Step(name="tidy", role="retry", outside=steps.tidy),
        ),
    )


class _Steps:
    def __init__(self, ports: ReportPorts) -> None:
        self._ports = ports

    async def reserve(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """A row for the PDF, so that whatever is written of it is found and deleted."""
        team_id = _team_of(context)
        label = await label_of(tx, team_id)
        if label is None:
            raise Refused("The team is gone.")
        name = file_name(_wanted(context), *label)
        report_id = await objects.reserve(
            tx, user_id=context.user_id, kind=OBJECT_KIND, name=name, media_type=MEDIA_TYPE, team_id=team_id
        )
        return {"report_id": report_id, "name": name}

    async def give_up(self, context: Context, tx: Writing) -> None:
        """Housekeeping deletes what was written, and the row."""
        if "report_id" in context.data:
            await objects.expire(tx, UUID(context.data["report_id"]))

    async def write(self, context: Context) -> _Written:
        """Read, set and store it, under a key of this attempt's own."""
        if self._ports.store is None:
            raise Refused("No object store is set, in which a report could be kept.")
        read = await read_report(
            self._ports.worker, context.user_id, _team_of(context), _wanted(context), datetime.now(UTC)
        )
        context.report(0.2)
        key = objects.new_key(OBJECT_KIND, UUID(context.data["report_id"]))
        with scratch_folder("report") as folder:
            try:
                pdf, pages = await print_report(read.document, folder)
            except (CannotBePrinted, ExtraMissing) as error:
                raise Refused(f"The report cannot be printed: {error}") from error
            context.report(0.9)
            async with await anyio.open_file(pdf, "rb") as file:
                stored = await self._ports.store.put(
                    key, file, limit=LARGEST_BYTES, media_type=MEDIA_TYPE, name=context.data["name"]
                )
        return _Written(stored, pages, read)

    async def hand_over(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """From here on members of the team can download it, and whoever asked is told so. Raises Unkept."""
        written: _Written = context.outcome
        wanted, stored = _wanted(context), written.stored
        made = Report(
            id=UUID(context.data["report_id"]),
            team_id=_team_of(context),
            kind=wanted.report,
            since=wanted.since,
            until=wanted.until,
            pages=written.pages,
            size=stored.size,
            sha256=stored.sha256,
            seq=written.read.seq,
            created_by=context.user_id,
            created_at=written.read.at,
            expires_at=written.read.at,
        )
        until = await keep(tx, made, stored, seconds=REPORT_DAYS * 86_400.0, made_after=written.read.made_after)
        notice = Notice(
            team_id=made.team_id,
            event_id=f"report:{made.id}",
            subject_id=made.id,
            at=made.created_at,
            data={"report_id": made.id, "report": made.kind, "period": written.read.document.period},
        )
        await notify(
            tx,
            context.user_id,
            "report.ready",
            notice,
            now=datetime.now(UTC),
            collecting=self._ports.collecting,
        )
        return {"result": _shown(structs.replace(made, expires_at=until)), "key": stored.key}

    async def tidy(self, context: Context) -> None:
        """Delete what other attempts have written."""
        assert self._ports.store is not None, "the report is in it"
        for key in await self._ports.store.keys(objects.path_of(OBJECT_KIND, UUID(context.data["report_id"]))):
            if key != context.data["key"]:
                await self._ports.store.delete(key)


def file_name(wanted: Wanted, key: str, time_zone: str) -> str:
    """Of which team and which days it is: `ENG-activity-2026-02-01-to-2026-02-28.pdf`."""
    zone = zone_named(time_zone)
    first, last = day_of(wanted.since, zone), day_of(wanted.until - TICK, zone)
    days = f"until-{last}" if wanted.since.year <= FIRST_YEAR else f"{first}-to-{last}"
    return f"{key}-{wanted.report}-{last if first == last else days}.pdf"


async def read_report(worker: Pool, user_id: UUID, team_id: UUID, wanted: Wanted, now: datetime) -> ReadReport:
    """All that the report says, read in one moment with the eyes of the user. `worker` is the worker's pool.

    Raises Refused when they are no member of the team, and StorageUnavailable.
    """
    async with reading(worker, None, snapshot=True) as rows:
        team = await read_team(rows, user_id, team_id)
        if team is None:
            raise Refused("You are not a member of the team any more.")
        made_after = await drops(rows, team.id)
        cover = Cover(team, wanted.since, wanted.until, now, team.members.get(user_id, FORMER))
        document = await _document(rows, user_id, wanted.report, cover)
    return ReadReport(document, team.seq, made_after, now)


async def _document(rows: Reading, user_id: UUID, kind: ReportKind, cover: Cover) -> Document:
    team = cover.team
    match kind:
        case "board":
            board = await read_board(rows, user_id, team.id, cover.since, cover.until, cover.parts.begins)
            return board_report(cover, board)
        case "activity":
            happened = await read_activity(rows, user_id, team.id, cover.since, cover.until, cover.parts.begins)
            return activity_report(cover, happened)
        case "overdue":
            zone = zone_named(team.time_zone)
            due = due_between(cover.since, min(cover.until, cover.now), zone)
            marks = (days_ago(cover.now, 7), days_ago(cover.now, 30))
            late = await read_overdue_tasks(rows, user_id, team.id, zone, due.at, due.on, marks)
            return overdue_report(cover, late)


def _wanted(context: Context) -> Wanted:
    return convert({name: context.data[name] for name in Wanted.__struct_fields__}, Wanted)


def _team_of(context: Context) -> UUID:
    assert context.team_id is not None, "a report is of a team"
    return context.team_id


def _shown(made: Report) -> Mapping[str, Any]:
    """The result of the operation: the report as its list shows it; the object's address is made for each reader."""
    return {
        "object_id": made.id,
        "id": made.id,
        "team_id": made.team_id,
        "kind": made.kind,
        "from": made.begins,
        "to": made.until,
        "pages": made.pages,
        "bytes": made.size,
        "digest": made.sha256.hex(),
        "seq": made.seq,
        "created_by": made.created_by,
        "created_at": made.created_at,
        "expires_at": made.expires_at,
    }
