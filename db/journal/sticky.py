"""A connection that stays out of its pool while it is needed all the time."""

import asyncio
from types import TracebackType
from typing import Final

import asyncpg

from db.pool import Connection, Pool, give_back

__all__ = ["StickyConnection"]

KEEP_SECONDS: Final = 0.05


class StickyConnection:
    """`async with sticky as connection`, one at a time: a connection of the pool, kept for the next one to come soon.

    Acquiring and releasing costs a task, timers and turns of the event loop each time. Whoever finds it `busy` takes
    another connection of the pool. Whatever goes wrong gives it back, to be reset or replaced; so does a
    moment without use, so that the pool can be closed.
    """

    __slots__ = ("_connection", "_giving_back", "_pool", "_timeout", "_used_at", "_watching", "busy")

    def __init__(self, pool: Pool, timeout: float) -> None:
        self.busy = False
        self._pool = pool
        self._timeout = timeout
        self._connection: Connection | None = None
        self._used_at = 0.0
        self._watching = False
        self._giving_back: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Connection:
        if self.busy:
            raise RuntimeError("a sticky connection has one user at a time")
        self.busy = True
        try:
            if self._connection is not None and not _clean(self._connection):
                await give_back(self._pool, self._leave())
            if self._connection is None:
                self._connection = await self._pool.acquire(timeout=self._timeout)
            return self._connection
        except BaseException:
            self.busy = False
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is not None or (self._connection is not None and not _clean(self._connection)):
                await give_back(self._pool, self._leave())
                return
            loop = asyncio.get_running_loop()
            self._used_at = loop.time()
            if not self._watching:
                self._watching = True
                loop.call_later(KEEP_SECONDS, self._watch)
        finally:
            self.busy = False

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._used_at + KEEP_SECONDS - loop.time()
        self._watching = self._connection is not None and (self.busy or left > 0)
        if self._watching:
            loop.call_later(max(left, KEEP_SECONDS / 2), self._watch)
        elif self._connection is not None:
            self._giving_back = loop.create_task(give_back(self._pool, self._leave()))

    def _leave(self) -> Connection:
        """The connection, which is nobody's from here on: whoever comes next gets another one."""
        connection, self._connection = self._connection, None
        assert connection is not None, "there is one"
        return connection


def _clean(connection: Connection) -> bool:
    """Whether somebody else may use it as it is."""
    try:
        return not (connection.is_closed() or connection.is_in_transaction())
    except asyncpg.InterfaceError:  # Lost: the pool has taken it back by itself.
        return False
