"""The part of every process that notices when its program has become too old for the database."""

import asyncio
import logging

from api.health import Health
from db.installation import WrongFormat, until_outdated
from db.pool import Pool

__all__ = ["FormatWatch"]

logger = logging.getLogger(__name__)


class FormatWatch:
    """`outdated` is set once this program must not run any more, and `error` says why.

    Ending the process is left to its runner.
    """

    def __init__(self, pool: Pool, health: Health) -> None:
        self.outdated = asyncio.Event()
        self.error: WrongFormat | None = None
        self._pool, self._health = pool, health

    async def run(self) -> None:
        """Watch until that happens."""
        self.error = await until_outdated(self._pool)
        logger.error("this process ends: %s", self.error.detail)
        self._health.draining.set()
        self.outdated.set()
