"""Which programs may run on this database: `installation.format` against what this program knows.

A migration that lets new kinds of events or attributes be written raises the format in its contract step
(`taskforge migrate --finish`). From then on an older program would misread what it finds, so it must not run.
"""

import asyncio
from typing import Final

import asyncpg

from core.errors import StorageUnavailable, TaskForgeError
from core.secret import Secret
from db.errors import storage_errors
from db.pool import Connection, Pool

__all__ = ["FORMAT", "WrongFormat", "check_database", "check_format", "until_outdated"]

FORMAT: Final = 2
"""The newest format that this program knows. A contract step raises this number."""
CHECK_SECONDS: Final = 3.0
CONNECT_SECONDS: Final = 3.0


class WrongFormat(TaskForgeError):
    """The database and this program do not fit: one of them must be brought forward first."""

    code = "wrong-format"


async def check_format(database: "Pool | Connection") -> None:
    """Raises WrongFormat when this program must not run here, StorageUnavailable when the database cannot be asked."""
    found = await _format(database)
    if found is None:
        raise WrongFormat("The database has not been brought forward to this program: run `taskforge migrate`.")
    if found > FORMAT:
        raise _too_old(found)


async def _format(database: "Pool | Connection") -> int | None:
    """None when the database has none (yet)."""
    with storage_errors():
        try:
            found: int | None = await database.fetchval("select format from installation")
        except asyncpg.UndefinedTableError:
            return None
    return found


def _too_old(found: int) -> WrongFormat:
    return WrongFormat(
        f"The database has format {found} and this program knows {FORMAT}: it is too old to run here. "
        "Install a newer release."
    )


async def check_database(url: Secret) -> None:
    """The same over a connection of its own, for who has no pool yet."""
    with storage_errors():
        connection = await asyncpg.connect(url.reveal(), timeout=CONNECT_SECONDS)
    try:
        await check_format(connection)
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def until_outdated(pool: Pool, *, seconds: float = CHECK_SECONDS) -> WrongFormat:
    """Look every so many seconds, and come back once this program must not run any more.

    A database that cannot be reached says nothing about its format, and one that has none any more is being restored.
    """
    while True:
        await asyncio.sleep(seconds)
        try:
            found = await _format(pool)
        except StorageUnavailable:
            continue
        if found is not None and found > FORMAT:
            return _too_old(found)
