"""Writes the documents that nobody asked for: of tasks that were there before there were documents, or fell behind."""

import logging
from typing import Final

import anyio
from msgspec import Struct

from core.errors import StorageUnavailable
from db.pool import Pool
from db.search_documents import fill_documents

__all__ = ["FillingStatistics", "SearchFiller"]

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 3600.0


class FillingStatistics(Struct, frozen=True):
    """How many documents were written since the start."""

    written: int


class SearchFiller:
    """Fills at once and then every hour. Several workers may do so at once: a document is written once."""

    def __init__(self, pool: Pool, every_seconds: float = EVERY_SECONDS) -> None:
        self._pool, self._every_seconds, self._written = pool, every_seconds, 0

    def statistics(self) -> FillingStatistics:
        return FillingStatistics(self._written)

    async def run(self) -> None:
        """Run until cancelled; a database that is down is waited for."""
        while True:
            try:
                written = await fill_documents(self._pool)
                self._written += written
                if written:
                    logger.info("wrote %d documents of search that were missing", written)
            except StorageUnavailable as error:
                logger.warning("documents of search wait for the database: %s", error)
            await anyio.sleep(self._every_seconds)
