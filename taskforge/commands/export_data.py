"""`taskforge export`: a team's board as CSV or JSON Lines, in board order, to be imported again.

The rows come from the database as they are written: a board of any size takes the memory of a page of it.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TextIO

from rich.console import Console

from db.exports import BoardExport, exporting
from db.installation import check_format
from db.pool import Pool, open_pools
from taskforge.settings import Settings
from taskforge.transfer.cells import EXPORTED, row_of
from taskforge.transfer.files import Format, RowWriter, TransferError, format_of
from taskforge.transfer.teams import team_called

__all__ = ["export_team", "run"]


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Exit code 0. Raises TransferError for an unknown team; a file appears only when it is complete."""
    path: Path | None = args.file
    form = format_of(path, args.format)
    count = asyncio.run(_export(settings, args.team, path, form))
    if path is not None:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"exported {count} tasks to {path}", markup=False)
    return 0


async def _export(settings: Settings, words: str, path: Path | None, form: Format) -> int:
    async with open_pools(settings.database) as pools:
        await check_format(pools.worker)
        if path is None:
            return await export_team(pools.worker, words, form, sys.stdout)
        unfinished = path.with_name(f".{path.name}.part")
        try:
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                count = await export_team(pools.worker, words, form, file)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return count


async def export_team(pool: Pool, words: str, form: Format, file: TextIO) -> int:
    """Write a team's board as of one moment, column by column from top to bottom; gives the number of rows."""
    team_id = await team_called(pool, words)
    if team_id is None:
        raise TransferError(f"there is no team {words!r}")
    async with exporting(pool, team_id) as board:
        if board is None:
            raise TransferError(f"there is no team {words!r}")
        return await _write(board, form, RowWriter(file, form, EXPORTED))


async def _write(board: BoardExport, form: Format, writer: RowWriter) -> int:
    async for tasks in board.tasks:
        for task in tasks:
            writer.write(
                row_of(task, form, labels=board.labels, columns=board.columns, keys=board.keys, emails=board.emails)
            )
    return writer.written
