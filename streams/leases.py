"""Which worker does what: numbered leases that live and die with one database session.

The relay leases ranges of teams; whatever else must run once among all workers leases its numbers the same way.
"""

import logging
import math
from typing import Any, Final

import asyncpg

from db import leases
from db.errors import storage_errors
from db.pool import Connection, Pool, give_back

__all__ = ["RELAY", "SCHEDULER", "Leases", "presence"]

logger = logging.getLogger(__name__)


RELAY: Final = "tfr"
"""Workers of every version agree on these three letters, or two of them relay the same range."""

SCHEDULER: Final = "tfs"
"""One lease: whoever holds it fires the schedules."""


def presence(namespace: str) -> int:
    """The number under which those who share the leases of a namespace show that they are there."""
    return int.from_bytes(namespace.encode("ascii") + b"p")


class Leases:
    """Those of the leases 0 to `count` - 1 that this worker holds. Losing the session loses them all, without notice.

    Every worker shows its presence and takes its share of the leases, rounded up. Workers share those of the same
    `namespace`, which is three ASCII letters: they become part of the locks' numbers.
    """

    def __init__(self, pool: Pool, namespace: str, count: int) -> None:
        letters = namespace.encode("ascii")
        if len(letters) != 3:
            raise ValueError(f"a namespace of leases has three letters: {namespace!r}")
        self._pool = pool
        self._namespace, self._count = namespace, count
        self._lease, self._presence = int.from_bytes(letters + b"l"), presence(namespace)
        self._session: Connection | None = None
        self._held: set[int] = set()

    @property
    def held(self) -> frozenset[int]:
        """The leases held now; none as soon as the session is lost."""
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
        """Give back what is above this worker's share and try to take what is missing, between two rounds of work.

        Opens a new session when there is none, and then returns True: everything held was lost in between. Raises
        StorageUnavailable, after which nothing is held.
        """
        anew = not self.alive
        try:
            with storage_errors():
                session = self._session if self.alive else None
                if session is None:
                    session = await self._open()
                workers = await leases.count_present(session, self._presence)
                share = math.ceil(self._count / max(1, workers))
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
        await leases.show_presence(session, self._presence)
        return self._session

    async def _release_down_to(self, session: Connection, share: int) -> None:
        for number in sorted(self._held)[share:]:
            self._held.discard(number)
            await leases.give_back(session, self._lease, number)
            logger.info("lease %s %d is left to another worker", self._namespace, number)

    async def _take_up_to(self, session: Connection, share: int) -> None:
        for number in range(self._count):
            if len(self._held) >= share:
                return
            if number not in self._held and await leases.try_to_take(session, self._lease, number):
                self._held.add(number)

    async def close(self) -> None:
        """Give everything back."""
        self._held.clear()
        session, self._session = self._session, None
        if session is not None:
            # The pool's reset unlocks; a session in doubt is ended, which unlocks as well.
            await give_back(self._pool, session)
