"""Lets mails that collect notifications leave once it is quiet about their subject."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
from msgspec import Struct

from core.errors import StorageUnavailable
from db.notices.releasing import WINDOW, release
from db.pool import Pool
from db.transaction import writing

__all__ = ["LeavingMails", "LeavingStatistics"]

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 2.0
"""Nobody minds a mail that is two seconds late; the question is one look into an index."""
AT_ONCE: Final = 200


class LeavingStatistics(Struct, frozen=True):
    """How many mails have left for the outbox since the start."""

    left: int


class LeavingMails:
    """Looks every few seconds. Several workers may do so at once: each mail leaves once.

    Nobody gets more than a few mails within `window`; zero lets all leave.
    """

    def __init__(
        self,
        pool: Pool,
        every_seconds: float = EVERY_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        window: timedelta = WINDOW,
    ) -> None:
        self._pool, self._every_seconds, self._now, self._window, self._left = pool, every_seconds, now, window, 0

    def statistics(self) -> LeavingStatistics:
        return LeavingStatistics(self._left)

    async def run(self) -> None:
        """Run until cancelled; a database that is down is waited for."""
        while True:
            try:
                await self.look()
            except StorageUnavailable as error:
                logger.warning("mails of notifications wait for the database: %s", error)
            await anyio.sleep(self._every_seconds)

    async def look(self) -> int:
        """Let everything leave whose time has come; how many. Raises StorageUnavailable."""
        total, left = 0, 1
        while left:
            async with writing(self._pool) as tx:
                left = await release(tx, self._now(), limit=AT_ONCE, window=self._window)
            total += left
            self._left += left
        return total
