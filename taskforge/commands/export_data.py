"""`taskforge export`: a team's board as CSV or JSON Lines, in board order, to be imported again."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console

from api.services import Services
from core.task import STATUSES
from core.team import TeamState
from db.people import directory
from taskforge.parts.names import API
from taskforge.settings import Settings
from taskforge.transfer.cells import EXPORTED, row_of
from taskforge.transfer.files import Format, TransferError, format_of, write_rows
from taskforge.transfer.targets import SECONDS, the_team
from taskforge.wiring import running

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
    async with running(settings, API) as process:
        rows = list(await export_team(process.services, words, form))
    if path is None:
        return write_rows(sys.stdout, form, EXPORTED, rows)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            count = write_rows(file, form, EXPORTED, rows)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


async def export_team(services: Services, words: str, form: Format) -> Iterator[dict[str, Any]]:
    """The rows of a team's board at one `seq`, column by column from top to bottom."""
    team_id = await the_team(services, words)
    if team_id is None:
        raise TransferError(f"there is no team {words!r}")
    state = (await services.teams.view(team_id, deadline=SECONDS)).state.detach()
    assignees = {task.assignee_id for task in state.tasks.values() if task.assignee_id is not None}
    emails = await directory.addresses_of(services.pools.worker, list(assignees)) if assignees else {}
    return _rows(state, form, dict(emails))


def _rows(state: TeamState, form: Format, emails: dict[UUID, str]) -> Iterator[dict[str, Any]]:
    labels = {label.id: label.name for label in state.labels.values()}
    keys = {task.id: task.key for task in state.tasks.values()}
    for status in STATUSES:
        for task in state.ordered(status):
            yield row_of(task, form, labels=labels, keys=keys, emails=emails)
