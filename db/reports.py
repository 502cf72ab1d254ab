"""Reports of a team: rows beside their objects, which have the same ids, and whose bytes are PDFs.

Members of the team read them until they expire, or until the journal forgets something that may stand in them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

from msgspec import Struct

from core.errors import Conflict
from core.task import FIRST_YEAR
from db import objects
from db.object_store import Stored
from db.past.snapshots import drops
from db.pool import Pool
from db.redactions_due import REPORT_IS_DUE
from db.transaction import Reading, Writing, reading

__all__ = [
    "KINDS",
    "OBJECT_KIND",
    "Report",
    "ReportKind",
    "Unkept",
    "check_none_waits",
    "find_report",
    "keep",
    "list_of",
]

ReportKind = Literal["board", "overdue", "activity"]
KINDS: Final[tuple[ReportKind, ...]] = get_args(ReportKind)
OBJECT_KIND: Final = objects.REPORTS
"""Of their objects, whose keys begin with it."""
AT_ONCE: Final = 5
"""Reports of one user that are being made."""


class Report(Struct, frozen=True, kw_only=True):
    """A report that can be downloaded: of what happened from `since` to before `until`, as of the team's `seq`.

    A `since` in the first year of all is no beginning: `begins` is None then. `size` is in bytes,
    `sha256` is the digest of them.
    """

    id: UUID
    team_id: UUID
    kind: ReportKind
    since: datetime
    until: datetime
    pages: int
    size: int
    sha256: bytes
    seq: int
    created_by: UUID
    created_at: datetime
    expires_at: datetime

    @property
    def begins(self) -> datetime | None:
        """From when on, None where all time before is meant."""
        return None if self.since.year <= FIRST_YEAR else self.since


class Unkept(Exception):
    """The journal has forgotten something since the data was read: the report is made anew, and this one not kept."""


async def check_none_waits(tx: Writing, user_id: UUID, kind: str) -> None:
    """Raise Conflict while five of the user's operations of the kind are on their way; one asker at a time."""
    await tx.alone(f"{kind} of {user_id}")
    if await tx.fetchval(_WAITING, user_id, kind) >= AT_ONCE:
        raise Conflict("reports-running", f"{AT_ONCE} of your reports are being made: wait for the end of one.")


async def keep(tx: Writing, report: Report, stored: Stored, *, seconds: float, made_after: int) -> datetime:
    """The object is there: have it found as this report for so many seconds; until when. For the worker's pool.

    `made_after` is how often the team's copies had been dropped when its data was read. Raises Unkept, and LookupError
    for an object that was given up.
    """
    # Whoever drops what was forgotten counts it in a transaction that waits for this one, or that this one waits for.
    await tx.alone(f"board-snapshots:{report.team_id}")
    if await drops(tx, report.team_id) != made_after:
        raise Unkept(f"team {report.team_id} was redacted while a report of it was made")
    until = await objects.complete(tx, report.id, stored, seconds=seconds)
    await tx.execute(
        _KEEP,
        report.team_id,
        report.id,
        report.kind,
        report.since,
        report.until,
        report.pages,
        report.seq,
        report.created_by,
        report.created_at,
    )
    return until


async def find_report(tx: Reading, user_id: UUID, team_id: UUID, report_id: UUID) -> Report | None:
    """The report, in one of the user's teams, as long as it is kept."""
    row = await tx.fetchrow(f"{_SELECT} and r.id = $3", user_id, team_id, report_id)
    return None if row is None else Report(**row)


async def list_of(pool: Pool, user_id: UUID, team_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Report]:
    """The team's reports, newest first; those from before the one named. Raises StorageUnavailable."""
    async with reading(pool, user_id) as tx:
        found = await tx.fetch(_LIST, user_id, team_id, before, limit)
    return [Report(**row) for row in found]


_SELECT: Final = f"""
select r.id, r.team_id, r.kind, r.since, r.until, r.pages, o.size, o.sha256, r.seq, r.created_by, r.created_at,
       o.expires_at
from reports r
join memberships m on m.team_id = r.team_id and m.user_id = $1
join objects o on o.team_id = r.team_id and o.id = r.id and o.key is not null and o.expires_at > now()
where r.team_id = $2 and not {REPORT_IS_DUE}
"""  # noqa: S608 (an expression of our own)
_LIST: Final = f"{_SELECT} and ($3::uuid is null or r.id < $3) order by r.id desc limit $4"
_KEEP: Final = """
insert into reports (team_id, id, kind, since, until, pages, seq, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_WAITING: Final = "select count(*) from operations where user_id = $1 and kind = $2 and ended_at is null"
