"""Whether anybody relays, seen from the database: a process that serves requests knows no worker.

A worker that is dead or frozen shows twice: nobody is present, and what happened waits.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from core.errors import StorageUnavailable
from db.errors import storage_errors
from db.journal.relay_cursors import BEGIN, RANGES, lagging
from db.leases import count_present
from db.pool import Pool
from streams.leases import RELAY, presence

__all__ = ["LATE_SECONDS", "RelayView", "RelayWatch", "look"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
SLICE_TEAMS: Final = 2_000
"""Teams per look, so that its cost does not grow with the installation: what waits is still there at its turn."""
LATE_SECONDS: Final = 15.0
"""What waits for longer is late: a relay publishes within milliseconds, and one that takes over within seconds."""


class RelayView(Struct, frozen=True):
    """`workers` that relay, and what waits for them: number of `events`, and the age of the oldest in `seconds`."""

    workers: int
    events: int
    seconds: float

    @property
    def late(self) -> bool:
        """Whether what waits should have left long ago."""
        return self.seconds > LATE_SECONDS


async def look(pool: Pool) -> RelayView:
    """The view over all teams. Raises StorageUnavailable."""
    return await RelayWatch(pool).look_at_all()


class RelayWatch:
    """Looks every two seconds at the next slice of the teams."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._after = BEGIN
        self._sofar = self._last = RelayView(0, 0, 0.0)
        self._workers: int | None = None
        self._absent_since = time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether what happens leaves: somebody relays (a restart is forgiven), and nothing is late."""
        absent = self._workers == 0 and time.monotonic() - self._absent_since > LATE_SECONDS / 3
        return not absent and not self.statistics().late

    def statistics(self) -> RelayView:
        """The worst of the last look at all teams and of this one as far as it is."""
        worst = max(self._last, self._sofar, key=lambda view: view.seconds)
        return RelayView(self._workers or 0, worst.events, worst.seconds)

    async def run(self) -> None:
        """Look until cancelled; a database that is away is waited for."""
        while True:
            try:
                await self._look_once()
            except StorageUnavailable:
                logger.debug("the relay cannot be watched while the database is away")
            await asyncio.sleep(LOOK_SECONDS)

    async def look_at_all(self) -> RelayView:
        """One look at every team. Raises StorageUnavailable."""
        await self._look_once()
        while self._after != BEGIN:
            await self._look_once()
        return self.statistics()

    async def _look_once(self) -> None:
        with storage_errors():
            async with self._pool.acquire() as connection:
                self._count(await count_present(connection, presence(RELAY)))
        found = await lagging(self._pool, range(RANGES), after=self._after, teams=SLICE_TEAMS)
        now = datetime.now(UTC)
        ages = [(now - lag.oldest).total_seconds() for lag in found.behind if lag.oldest is not None]
        self._sofar = RelayView(
            0, self._sofar.events + sum(lag.events for lag in found.behind), max(self._sofar.seconds, *ages, 0.0)
        )
        self._after = found.after
        if self._after == BEGIN:
            self._last, self._sofar = self._sofar, RelayView(0, 0, 0.0)

    def _count(self, workers: int) -> None:
        if workers or self._workers is None:
            self._absent_since = time.monotonic()
        self._workers = workers
