"""`taskforge restored` and `taskforge promoted --lossless`: what the database alone cannot say about its history."""

import argparse
import asyncio

from rich.console import Console

from core.errors import StorageUnavailable
from db.highest_epoch import HighestEpoch
from db.installation import WrongFormat, check_format
from db.journal.epochs import accept_history, declare_restored, raise_due_epochs
from db.keyset import Keyset
from db.pool import UnsafeServer, open_pools
from db.signed import Signer
from db.valkey import open_valkey
from taskforge.settings import Settings

__all__ = ["run"]

FAILED = 1


def run(args: argparse.Namespace, settings: Settings) -> int:
    console = Console(stderr=True, highlight=False)
    try:
        return asyncio.run(_promoted(settings, console) if "lossless" in args else _restored(settings, console))
    except (StorageUnavailable, UnsafeServer, WrongFormat) as error:
        console.print(str(error), style="red", markup=False)
        return FAILED


async def _restored(settings: Settings, console: Console) -> int:
    async with open_pools(settings.database) as pools, open_valkey(settings.valkey.url.reveal()) as valkey:
        await check_format(pools.writer)
        highest = HighestEpoch(valkey, Signer(Keyset(settings.keys)), settings.database.name)
        await highest.look()
        teams = await declare_restored(pools.writer)
        raised = 0
        while done := await raise_due_epochs(pools.writer, highest=highest):
            raised += len(done)
            console.print(f"{raised} of {teams} teams have a new epoch")
    console.print("done: feeds are reset once, and readers of the topics drop what has not happened")
    return 0


async def _promoted(settings: Settings, console: Console) -> int:
    async with open_pools(settings.database) as pools:
        await check_format(pools.writer)
        changed = await accept_history(pools.writer)
    console.print("noted: this server goes on with the same history" if changed else "nothing to note: it is the same")
    return 0
