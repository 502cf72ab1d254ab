"""Which worker relays which teams: ranges leased by advisory locks that live and die with one database session."""

import logging
import math
from typing import Any, Final

import asyncpg

from db.errors import storage_errors
from db.journal.relay_cursors import RANGES
from db.pool import Connection, Pool

__all__ = ["RangeLeases"]

logger = logging.getLogger(__name__)

# Two-part advisory keys: ("tfrl" or "tfrp" as a number, range or zero).
LEASE: Final = int.from_bytes(b"tfrl")
PRESENCE: Final = int.from_bytes(b"tfrp")

_WORKERS: Final = """
select count(*) from pg_locks where locktype = 'advisory' and classid = $1::bigint::oid and objid = 0 and objsubid = 2
and granted and database = (select oid from pg_database where datname = current_database())
"""


class RangeLeases:
    """The ranges this worker holds. Losing the session loses them all, at once and without asking.

    Every worker shows its presence with a shared lock and takes its share of the ranges, rounded up.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._session: Connection | None = None
        self._held: set[int] = set()

    @property
    def held(self) -> frozenset[int]:
        """The ranges held now; empty as soon as the session is lost."""
        return frozenset(self._held) if self.alive else frozenset()

    @property
    def alive(self) -> bool:
        """Whether the session behind the leases stands, as far as the driver knows."""
        if self._session is None:
            return False
        try:
            return not self._session.is_closed()
        except asyncpg.InterfaceError:  # The pool took a lost connection back by itself.
            return False

    async def balance(self) -> bool:
        """Give back what is above this worker's share and try for what is missing. Call between rounds only.

        Opens a new session when there is none, and then says True: everything held was lost in between. Raises
        StorageUnavailable, after which nothing is held.
        """
        anew = not self.alive
        try:
            with storage_errors():
                session = self._session if self.alive else None
                if session is None:
                    session = await self._open()
                workers: int = await session.fetchval(_WORKERS, PRESENCE)
                share = math.ceil(RANGES / max(1, workers))
                await self._release_down_to(session, share)
                await self._take_up_to(session, share)
                return anew
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> Connection:
        await self.close()
        session: Any = await self._pool.acquire()
        self._session = session
        await session.execute("select pg_advisory_lock_shared($1, 0)", PRESENCE)
        return self._session

    async def _release_down_to(self, session: Connection, share: int) -> None:
        for number in sorted(self._held)[share:]:
            self._held.discard(number)
            await session.execute("select pg_advisory_unlock($1, $2)", LEASE, number)
            logger.info("range %d given to another worker", number)

    async def _take_up_to(self, session: Connection, share: int) -> None:
        for number in range(RANGES):
            if len(self._held) >= share:
                return
            if number not in self._held and await session.fetchval(
                "select pg_try_advisory_lock($1, $2)", LEASE, number
            ):
                self._held.add(number)

    async def close(self) -> None:
        """Give everything back."""
        self._held.clear()
        session, self._session = self._session, None
        if session is not None:
            # The pool's reset unlocks; a session in doubt is ended, which unlocks as well.
            await self._pool.release(session, timeout=1.0)
