"""Forgets what has served its time: stored answers after seven days, marks of applied events after thirty."""

import logging
from typing import Final

import anyio

from core.errors import StorageUnavailable
from db.idempotency import forget_old_keys
from db.inbox import forget_applied
from db.pool import Pool

__all__ = ["keep_house", "tidy"]

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 3600.0


async def keep_house(pool: Pool, every_seconds: float = EVERY_SECONDS) -> None:
    """Tidy at once and then every hour, until cancelled. Several workers may: deleting twice deletes once."""
    while True:
        try:
            await tidy(pool)
        except StorageUnavailable as error:
            logger.warning("tidying waits for the database: %s", error)
        await anyio.sleep(every_seconds)


async def tidy(pool: Pool) -> tuple[int, int]:
    """Delete what has expired: (stored answers, marks of applied events). Raises StorageUnavailable."""
    keys, marks = await forget_old_keys(pool), await forget_applied(pool)
    if keys or marks:
        logger.info("forgot %d stored answers and %d marks of applied events", keys, marks)
    return keys, marks
