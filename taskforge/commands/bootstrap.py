"""`taskforge bootstrap`: files that copies of teams begin with, and a manifest of what each must add up to.

For whoever runs TaskForge: it reads the journal as a worker does, team by team, and needs neither worker nor API.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.checkpoints import Checkpoint
from db.bootstrap.folding import Beginning, begun, folded, still_stands, teams_after
from db.bootstrap.spool import Spool
from db.installation import check_format
from db.journal.relay_cursors import BEGIN
from db.pool import Pool, open_pools
from db.transaction import reading
from streams.bootstrap import ExtraMissing, Format, check_installed, write
from taskforge.settings import Settings

__all__ = ["Manifest", "run", "write_bootstraps"]

FAILED, USAGE = 1, 2
MANIFEST: Final = "manifest.json"
TEAMS_AT_ONCE: Final = 500
ATTEMPTS: Final = 5
"""How often a team is read that is redacted or restored while it is."""


class Manifest(Struct, frozen=True):
    """What is in the folder: by file its team's checkpoint. It is written last, so that a folder with one is whole."""

    format: Format
    files: dict[str, Checkpoint]


class _Restless(Exception):
    """A team did not stay as it was read."""


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Exit code 0; 1 for a team that cannot be read; 2 without the extra, or where a manifest is already."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    folder: Path = args.folder
    if (folder / MANIFEST).exists():
        console.print(f"{folder} has a {MANIFEST} already: name another folder", style="red", markup=False)
        return USAGE
    try:
        check_installed(args.format)
        folder.mkdir(parents=True, exist_ok=True)
        manifest = asyncio.run(_write(settings, args.team, args.format, folder, console))
    except ExtraMissing as error:
        console.print(str(error), style="red", markup=False)
        return USAGE
    except _Restless as error:
        console.print(str(error), style="red", markup=False)
        return FAILED
    console.print(f"wrote {len(manifest.files)} teams to {folder}", markup=False)
    return 0


async def _write(settings: Settings, team: UUID | None, form: Format, folder: Path, console: Console) -> Manifest:
    async with open_pools(settings.database) as pools:
        await check_format(pools.worker)
        teams = await _all_teams(pools.worker) if team is None else [team]
        return await write_bootstraps(pools.worker, teams, form, folder, console)


async def _all_teams(pool: Pool) -> Sequence[UUID]:
    found: list[UUID] = []
    while page := await teams_after(pool, found[-1] if found else BEGIN, TEAMS_AT_ONCE):
        found += page
    return found


async def write_bootstraps(pool: Pool, teams: Sequence[UUID], form: Format, folder: Path, console: Console) -> Manifest:
    """Write a file of each team into the folder, and then the manifest; teams that have ended meanwhile have none.

    `pool` is the worker's. Raises StorageUnavailable, and OSError for a disk that is full.
    """
    columns = (TextColumn("teams"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    files: dict[str, Checkpoint] = {}
    with Progress(*columns, console=console) as progress:
        shown = progress.add_task("teams", total=len(teams))
        for team_id in teams:
            path = folder / f"{team_id}.{form}"
            if (checkpoint := await _write_team(pool, team_id, form, path)) is not None:
                files[path.name] = checkpoint
            progress.advance(shown)
    manifest = Manifest(form, files)
    _put(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


async def _write_team(pool: Pool, team_id: UUID, form: Format, path: Path) -> Checkpoint | None:
    for _ in range(ATTEMPTS):
        beginning = await begun(pool, team_id)
        if beginning is None:
            return None
        if (checkpoint := await _attempt(pool, beginning, form, path)) is not None:
            return checkpoint
    raise _Restless(f"team {team_id} is redacted or restored each time that it is read: try again later")


async def _attempt(pool: Pool, beginning: Beginning, form: Format, path: Path) -> Checkpoint | None:
    """A file appears only when it is complete, and says what the journal says once it is."""
    with TemporaryDirectory(prefix=".bootstrap-", dir=path.parent) as folder:
        unfinished = Path(folder) / "file"
        with Spool(Path(folder) / "spool") as spool:
            checkpoint = await folded(pool, beginning, spool)
            await asyncio.to_thread(write, form, unfinished, checkpoint, spool)
            async with reading(pool, None) as tx:
                stands = await still_stands(tx, beginning, spool.digest)
        if not stands:
            return None
        unfinished.replace(path)
    return checkpoint


def _put(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)
