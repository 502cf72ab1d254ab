"""`taskforge migrate`: the schema forwards, finished, back, or only checked."""

import argparse
import asyncio
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import asyncpg
from rich.console import Console

from core.secret import Secret
from db import migrate
from db.settings import DatabaseSettings
from taskforge.devstack.datadir import ROLES
from taskforge.settings import Settings

__all__ = ["apply", "run"]

CONNECT_SECONDS = 10


def run(args: argparse.Namespace, settings: Settings) -> int:
    return asyncio.run(_run(args, settings.database, Console(highlight=False)))


async def _run(args: argparse.Namespace, database: DatabaseSettings, console: Console) -> int:
    owner = database.owner_url.reveal()
    if args.check:
        pending, steps = await migrate.check(owner), await migrate.unfinished(owner)
        console.print(f"pending: {', '.join(pending)}" if pending else "schema is up to date")
        if steps:
            console.print(f"to be finished, once no older program runs: {', '.join(steps)}")
        return 1 if pending else 0
    if args.finish:
        report = await migrate.finish(owner)
        console.print(f"finished: {', '.join(report.ran) or 'nothing, there is no step left'}")
        return 0
    if args.back:
        report = await migrate.back(owner, args.back)
        console.print(f"undone: {', '.join(report.ran) or 'nothing'}")
        return 0
    report = await apply(database)
    console.print(f"applied: {', '.join(report.ran) or 'nothing, schema is up to date'}")
    return 0


async def apply(database: DatabaseSettings) -> migrate.MigrationReport:
    """Apply what is pending; roles whose URL does not let them in get that URL's password."""
    return await migrate.migrate(database.owner_url.reveal(), passwords=await _wanting_passwords(database))


async def _wanting_passwords(database: DatabaseSettings) -> Mapping[str, str]:
    urls = (database.api_url, database.writer_url, database.worker_url)
    lets_in = await asyncio.gather(*(_lets_in(url) for url in urls))
    accounts = (_account(url) for url, fine in zip(urls, lets_in, strict=True) if not fine)
    return {role: password for role, password in accounts if role in ROLES and password}


async def _lets_in(url: Secret) -> bool:
    try:
        connection = await asyncpg.connect(url.reveal(), timeout=CONNECT_SECONDS)
    except asyncpg.InvalidAuthorizationSpecificationError:  # No such role yet, or another password.
        return False
    await connection.close(timeout=CONNECT_SECONDS)
    return True


def _account(url: Secret) -> tuple[str, str]:
    parts = urlsplit(url.reveal())
    return unquote(parts.username or ""), unquote(parts.password or "")
