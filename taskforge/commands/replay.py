"""`taskforge events replay`: publish events of the journal again, in order, under the same event ids."""

import argparse
import asyncio
from uuid import UUID

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from db.installation import check_format
from db.journal import relay_cursors as cursors
from db.pool import Pool, open_pools
from streams.kafka.broker import BrokerUnavailable, calm_logs
from streams.relay.replay import rewind
from taskforge.settings import Settings
from taskforge.wiring import running

__all__ = ["run"]

FAILED, USAGE = 1, 2
BROKER_SECONDS = 15.0
LOOK_SECONDS = 0.2


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Set cursors back and relay until nothing is left; returns the exit code."""
    console = Console(stderr=True, highlight=False)
    try:
        team_id = None if args.team is None else UUID(args.team)
    except ValueError:
        console.print(f"--team: {args.team!r} is no team id", style="red", markup=False)
        return USAGE
    dry_run = bool(args.dry_run)
    with calm_logs():
        return asyncio.run(_replay(settings, team_id, args.from_seq, dry_run=dry_run, console=console))


async def _replay(settings: Settings, team_id: UUID | None, first: int, *, dry_run: bool, console: Console) -> int:
    async with open_pools(settings.database) as pools:
        await check_format(pools.worker)
        teams, events = await cursors.published_since(pools.worker, team_id, first - 1)
    console.print(f"{events} events of {teams} teams" + (" would be published again" if dry_run else ""))
    if dry_run or not events:
        return 0
    try:
        await _relay_again(settings, team_id, first, events, console)
    except (BrokerUnavailable, TimeoutError) as error:
        console.print(f"the broker cannot be reached: {error}", style="red", markup=False)
        return FAILED
    return 0


async def _relay_again(settings: Settings, team_id: UUID | None, first: int, events: int, console: Console) -> None:
    """A relay of our own takes its share, so that it works with and without a worker beside it."""
    async with running(settings, frozenset({"relay"})) as process:
        with anyio.fail_after(BROKER_SECONDS):
            incarnation = await process.broker.known()
        await rewind(process.pools.worker, settings.kafka, incarnation, team_id, first - 1)
        await _follow(process.pools.worker, team_id, events, console)


async def _follow(pool: Pool, team_id: UUID | None, events: int, console: Console) -> None:
    columns = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("publishing", total=events)
        while (left := await cursors.backlog(pool, team_id)) > 0:
            progress.update(task, completed=max(0, events - left))
            await anyio.sleep(LOOK_SECONDS)
        progress.update(task, completed=events)
