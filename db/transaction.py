"""The one place that opens transactions. One request or message, one transaction."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import anyio
import asyncpg

from db.errors import UNREACHABLE, storage_errors
from db.pool import Connection, Pool, connected
from db.statements import Answered, Change, Returned, Rows

__all__ = ["Reading", "Scope", "Writing", "reading", "savepoint", "transaction", "writing"]

ROLLBACK_SECONDS: Final = 0.2

T = TypeVar("T")
Scope = Literal["app.user_id", "app.principal", "app.email", "app.token_hash", "app.network", "app.watch"]
"""What row-level security asks about: user id, idempotency principal, lower-case email (see `scope_email`), hex of a
token's hash, the network whose tickets are counted, and "revocations" for whoever must hear of everybody's."""


class Reading:
    """A transaction that only reads: statements of `db.statements` with `all` and `one`, SQL with the other methods."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows."""
        rows: list[asyncpg.Record] = await self._connection.fetch(query, *arguments)
        return rows

    async def portions(self, size: int, query: str, *arguments: Any) -> AsyncIterator[list[asyncpg.Record]]:
        """All rows, so many at a time; no more than these are in memory, nor looked through by the collector."""
        statement = await self._connection.prepare(query)
        cursor = await statement.cursor(*arguments)
        while rows := await cursor.fetch(size):
            yield rows

    async def fetchrow(self, query: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        return await self._connection.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """The first value of the first row, or None."""
        return await self._connection.fetchval(query, *arguments)

    async def all(self, wanted: Rows[T], **given: object) -> list[T]:
        """Every row of a statement."""
        return await self._all(wanted, given)

    async def one(self, wanted: Rows[T], **given: object) -> T | None:
        """The first row of a statement, or None."""
        return await self._one(wanted, given)

    async def _all(self, wanted: Answered[T], given: Mapping[str, object]) -> list[T]:
        found = await self._connection.fetch(wanted.sql, *wanted.arguments(given))
        return [wanted.make(row) for row in found]

    async def _one(self, wanted: Answered[T], given: Mapping[str, object]) -> T | None:
        found = await self._connection.fetchrow(wanted.sql, *wanted.arguments(given))
        return None if found is None else wanted.make(found)

    async def scope(self, name: Scope, value: str) -> None:
        """Name who is asking from here on, until the transaction ends."""
        await self._connection.execute("select set_config($1, $2, true)", name, value)

    async def scope_email(self, email: str) -> None:
        """The same for an address in any case, folded as the column of addresses is."""
        await self._connection.execute(
            "select set_config('app.email', lower($1::text collate pg_unicode_fast), true)", email
        )


class Writing(Reading):
    """A transaction that may write; it commits when the block ends and rolls back when the block raises."""

    __slots__ = ()

    async def execute(self, query: str, *arguments: Any) -> int:
        """Run SQL; the number of rows it touched."""
        status: str = await self._connection.execute(query, *arguments)
        last = status.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def all(self, wanted: Rows[T] | Returned[T], **given: object) -> list[T]:
        """Every row of a statement, which may have changed them."""
        return await self._all(wanted, given)

    async def one(self, wanted: Rows[T] | Returned[T], **given: object) -> T | None:
        """The first row of a statement, which may have changed it, or None."""
        return await self._one(wanted, given)

    async def alone(self, what: str) -> None:
        """Wait until no other transaction that named the same is open: what is counted from here on stays true."""
        await self._connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", what)

    async def run(self, change: Change, **given: object) -> int:
        """Run a statement; the number of rows it touched."""
        return await self.execute(change.sql, *change.arguments(given))

    async def run_many(self, change: Change, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a statement once for each of the rows, in one go."""
        await self._connection.executemany(change.sql, [change.arguments(row) for row in rows])

    async def executemany(self, query: str, arguments: Sequence[Sequence[Any]]) -> None:
        """Run SQL once per tuple of arguments, in one go."""
        await self._connection.executemany(query, arguments)


@asynccontextmanager
async def reading(pool: Pool, user_id: UUID | None, *, snapshot: bool = False) -> AsyncIterator[Reading]:
    """A read-only transaction as `user_id` (None: nobody, which under row-level security sees nothing).

    `snapshot` makes all statements see the same moment (REPEATABLE READ). Raises StorageUnavailable.
    """
    begin = "begin isolation level repeatable read read only" if snapshot else "begin read only"
    with storage_errors():
        async with connected(pool) as connection, transaction(connection, begin, user_id):
            yield Reading(connection)


@asynccontextmanager
async def writing(pool: Pool, user_id: UUID | None = None) -> AsyncIterator[Writing]:
    """A transaction as `user_id`. Raises StorageUnavailable, also when the outcome of COMMIT is not known.

    Work that must not be done twice therefore needs a key of its own (a unique row) to be asked for again.
    """
    with storage_errors():
        async with connected(pool) as connection, transaction(connection, "begin", user_id):
            yield Writing(connection)


async def commit(connection: Connection) -> None:
    """End the transaction, keeping its work."""
    await connection.execute("commit")


@asynccontextmanager
async def transaction(
    connection: Connection,
    begin: str = "begin",
    user_id: UUID | None = None,
    finish: Callable[[Connection], Awaitable[None]] = commit,
) -> AsyncIterator[str]:
    """Begin, with the scope in the same round trip; `finish` at the end, roll back on any exception.

    `begin` may be more than one statement; the block gets the command tag of the last one ("BEGIN", "SELECT 1").
    Driver errors come through as they are: `finish` may tell those of COMMIT from those before it.
    """
    if connection.is_in_transaction():
        raise RuntimeError("a transaction inside a transaction would silently be none")
    # A UUID's text needs no quoting; other settings go through `scope`, as parameters.
    scope = "" if user_id is None else f"; set local app.user_id = '{UUID(int=user_id.int)}'"
    try:
        tag: str = await connection.execute(begin + scope)
    except BaseException:
        await _roll_back(connection, "rollback", interrupted=True)
        raise
    try:
        yield tag
    except BaseException:
        await _roll_back(connection, "rollback")
        raise
    await finish(connection)


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """A part of the running transaction that is taken back alone when the block raises. Not nested."""
    await connection.execute("savepoint part")
    try:
        yield
    except BaseException:
        await _roll_back(connection, "rollback to savepoint part; release savepoint part")
        raise
    await connection.execute("release savepoint part")


async def _roll_back(connection: Connection, statement: str, *, interrupted: bool = False) -> None:
    """The server ends the transaction of a lost connection by itself; the pool replaces the connection.

    One that does not answer soon is closed: whoever waits for this must not wait for a server that hangs.

    When the statement that begins it was `interrupted`, the driver does not know yet what came of it.
    """
    # Also when everything is cancelled: the pool would otherwise find the transaction open and complain.
    with suppress(*UNREACHABLE):
        with anyio.move_on_after(ROLLBACK_SECONDS, shield=True) as patience:
            if interrupted or connection.is_in_transaction():
                await connection.execute(statement)
        if patience.cancelled_caught:
            connection.terminate()
