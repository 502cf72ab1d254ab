"""Connection pools, one per role, to a server that is proven to keep what it acknowledges."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import asyncpg
from msgspec import Struct

from core.errors import TaskForgeError
from core.secret import Secret
from db.errors import UNREACHABLE, storage_errors
from db.history_sql import RESTORED
from db.settings import DatabaseSettings

__all__ = ["Connection", "Pool", "Pools", "UnsafeServer", "connected", "give_back", "open_pools"]

logger = logging.getLogger(__name__)

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

CONNECT_SECONDS: Final = 3.0
WORKER_SECONDS: Final = 60.0
CLIENT_GRACE_SECONDS: Final = 0.5
DEADLINE_SECONDS: Final = 5.0
STATEMENT_PART: Final = 0.7
"""Of a request's deadline: so long may one statement of the API or the committer take, which leaves time to answer."""
ACQUIRE_SECONDS: Final = 2.0
RELEASE_SECONDS: Final = 0.2
"""A connection whose statement was broken off and that says nothing for so long is closed: its server hangs."""
LANE_LOCK_MS: Final = 100
"""How long the transaction of all teams waits for the row of one; see `docs/decisions/a-locked-team-goes-alone.md`."""
IDLE_SECONDS: Final = 300.0
OLDEST_VERSION: Final = 180000

_COMMON: Final = {
    "timezone": "UTC",
    "jit": "off",
    "idle_in_transaction_session_timeout": "30s",
    "client_connection_check_interval": "10s",
}
# The committer's statements look up a few rows by key in tables of any size: whatever the statistics say, plan that
# once and never scan a table. Measured, planning the commit statement costs more than executing it.
_WRITER: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_mergejoin": "off",
    "enable_hashjoin": "off",
    "lock_timeout": f"{LANE_LOCK_MS}ms",
}


class UnsafeServer(TaskForgeError):
    """The server may lose acknowledged commits, or is too old: nothing may be started on it."""

    code = "unsafe-server"


class Pools(Struct, frozen=True):
    """One pool per role. Nothing connects to `worker` before its first use."""

    api: Pool
    writer: Pool
    worker: Pool


@asynccontextmanager
async def open_pools(settings: DatabaseSettings, *, deadline_seconds: float = DEADLINE_SECONDS) -> AsyncIterator[Pools]:
    """The pools, until the block ends; connections lost later are replaced as they are needed.

    No statement of the API or the committer takes as long as `deadline_seconds`, within which a request is answered.

    Raises UnsafeServer for a server with `fsync` or `synchronous_commit` off, StorageUnavailable for none.
    Whether this program may run on the database is another question: see `db.installation`.
    """
    size, seconds = settings.pool_size, STATEMENT_PART * deadline_seconds
    async with (
        _pool(settings.writer_url, "writer", size, seconds, _WRITER) as writer,
        _pool(settings.api_url, "api", size, seconds, {}) as api,
        _pool(settings.worker_url, "worker", size, WORKER_SECONDS, {}) as worker,
    ):
        with storage_errors():
            await _refuse_unsafe(writer)
        yield Pools(api, writer, worker)


@asynccontextmanager
async def _pool(url: Secret, name: str, size: int, seconds: float, extra: dict[str, str]) -> AsyncIterator[Pool]:
    server_settings = {
        **_COMMON,
        **extra,
        "application_name": f"taskforge-{name}",
        "statement_timeout": str(int(seconds * 1000)),
    }
    with storage_errors():
        pool: Pool = await asyncpg.create_pool(
            url.reveal(),
            min_size=0,
            max_size=size,
            init=_Writers() if name == "writer" else _raw_json,
            # Workers take session locks, so theirs is the full reset. Everything in the other two pools is local to
            # a transaction, which the driver ends on release: they save a round trip each time.
            reset=None if name == "worker" else _nothing_to_reset,
            timeout=CONNECT_SECONDS,
            command_timeout=seconds + CLIENT_GRACE_SECONDS,
            max_inactive_connection_lifetime=IDLE_SECONDS,
            server_settings=server_settings,
        )
    try:
        yield pool
    finally:
        await _close(pool)


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool; the pool's own context manager would wait long for one whose server hangs."""
    connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
    try:
        yield connection
    finally:
        await give_back(pool, connection)


async def give_back(pool: Pool, connection: Connection) -> None:
    """Return a connection to its pool, which closes it when it is lost or does not answer soon. Never raises."""
    with suppress(*UNREACHABLE):
        await pool.release(connection, timeout=RELEASE_SECONDS)


async def _close(pool: Pool) -> None:
    """Let running statements finish, but not for ever: a vanished server must not hold up the shutdown."""
    try:
        await asyncio.wait_for(pool.close(), CONNECT_SECONDS)
    except TimeoutError:
        pool.terminate()
    except asyncio.CancelledError:
        pool.terminate()
        raise


class _Writers:
    """Prepares the connections that may write: one to a restored database has its teams wait for their new epochs.

    A database that was whole once and is not now is being restored, and nobody may write to it.
    """

    def __init__(self) -> None:
        self._seen_whole = False

    async def __call__(self, connection: Any) -> None:
        await _raw_json(connection)
        try:
            await connection.execute(RESTORED)
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError):
            if self._seen_whole:
                raise
        else:
            self._seen_whole = True


async def _raw_json(connection: Any) -> None:
    """`json` columns are bytes, in and out: msgspec reads and writes them, and the journal keeps them to the byte."""
    await connection.set_type_codec("json", schema="pg_catalog", format="binary", encoder=_same, decoder=_same)


def _same(raw: bytes) -> bytes:
    return raw


async def _nothing_to_reset(_connection: Any) -> None:
    pass


async def _refuse_unsafe(pool: Pool) -> None:
    row = await pool.fetchrow(
        "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous_commit,"
        " current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding"
    )
    assert row is not None
    for name in ("fsync", "synchronous_commit"):
        if row[name] == "off":
            raise UnsafeServer(f"PostgreSQL runs with {name} = off and may lose acknowledged changes: turn it on.")
    if row["version"] < OLDEST_VERSION:
        raise UnsafeServer(f"PostgreSQL 18 or newer is needed; this server says {row['version']}.")
    if row["encoding"] != "UTF8":
        raise UnsafeServer(f"The database must be encoded in UTF8, not {row['encoding']}.")
