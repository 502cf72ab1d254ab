"""`taskforge import`: tasks from a file into a team, beside whatever runs already."""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct, structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from taskforge.parts.names import API
from taskforge.settings import Settings
from taskforge.transfer.cells import COLUMNS, Wish, read_wish
from taskforge.transfer.files import Format, Reject, Table, TransferError, format_of, read_table, write_rejects
from taskforge.transfer.importing import Importer, Tally
from taskforge.transfer.scrubbing import Scrubbed, scrub
from taskforge.transfer.targets import the_target
from taskforge.wiring import running

__all__ = ["Job", "import_file", "run"]

SHOWN = 10
STRANGE = "its tasks went to the first column of their status"
NAMELESS = "new tasks have no external_id: imported again they would be made again; --source NAME gives them one"


class Job(Struct, frozen=True, kw_only=True):
    """What to import, where, and in whose name. `source` None: the file's name; `form` None: by its ending."""

    file: Path
    team: str
    email: str | None = None
    source: str | None = None
    form: Format | None = None
    create_team: bool = False
    dry_run: bool = False


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Exit code 0 when every row is in, 1 when some were refused. Raises TransferError before anything is changed."""
    job = Job(
        file=args.file,
        team=args.team,
        email=args.email,
        source=args.source,
        form=args.format,
        create_team=args.create_team,
        dry_run=args.dry_run,
    )
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
    tally = asyncio.run(import_file(job, settings, err))
    out.print(f"{'would have ' if job.dry_run else ''}{tally}", markup=False)
    return 1 if tally.failed else 0


async def import_file(job: Job, settings: Settings, console: Console) -> Tally:
    """Import one file; progress and refused rows are shown on `console`, and the latter written to a file."""
    form = format_of(job.file, job.form)
    table = await asyncio.to_thread(read_table, job.file, form, COLUMNS)
    scrubbed = [scrub(row) for row in table.rows]
    wishes, rejects = _wishes(table, scrubbed, job)
    async with running(settings, API) as process:
        # A dry run makes no team, so there must be one.
        target = await the_target(process.services, job.team, job.email, create=job.create_team and not job.dry_run)
        columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("importing", total=len(wishes))
            importer = Importer(
                process.services, target, advance=lambda count: progress.advance(bar, count), dry_run=job.dry_run
            )
            tally = await importer.run(wishes)
    rejects.extend(importer.rejects)
    _report_dropped([one for one in scrubbed if one.dropped], console)
    _report(job, form, table, sorted(rejects, key=lambda one: one.row.number), console)
    if tally.nameless:
        console.print(f"{tally.nameless} {NAMELESS}", style="yellow", markup=False)
    if importer.strange_columns:
        names = ", ".join(map(repr, importer.strange_columns))
        console.print(f"no such column here: {names}; {STRANGE}", style="yellow", markup=False)
    return structs.replace(tally, failed=len(rejects))


def _wishes(table: Table, scrubbed: Sequence[Scrubbed], job: Job) -> tuple[list[Wish], list[Reject]]:
    """Without columns that say otherwise, `key` is another tracker's name for the task."""
    foreign = "key" in table.columns and not {"id", "number", "external_id"} & set(table.columns)
    source = job.source or job.file.stem
    wishes, rejects = list[Wish](), list(table.rejects)
    if not table.rows and not rejects:
        raise TransferError(f"{job.file.name}: there is no row to import")
    for row, one in zip(table.rows, scrubbed, strict=True):
        try:
            wishes.append(read_wish(one.row, source, foreign=foreign, adopt=job.source is not None))
        except ValueError as error:
            rejects.append(Reject(row, str(error)))
    return wishes, rejects


def _report_dropped(scrubbed: Sequence[Scrubbed], console: Console) -> None:
    for one in scrubbed[:SHOWN]:
        console.print(str(one), style="yellow", markup=False)
    if len(scrubbed) > SHOWN:
        console.print(f"{len(scrubbed) - SHOWN} more rows lost such characters", style="yellow", markup=False)


def _report(job: Job, form: Format, table: Table, rejects: Sequence[Reject], console: Console) -> None:
    if not rejects:
        return
    for reject in rejects[:SHOWN]:
        console.print(f"row {reject.row.number}: {reject.reason}", style="red", markup=False)
    path = Path(f"{job.file.stem}.rejects.{form}")
    write_rejects(path, form, table, rejects)
    more = f", {len(rejects) - SHOWN} more" if len(rejects) > SHOWN else ""
    console.print(f"{len(rejects)} rows were not imported{more}: see {path}", markup=False)
