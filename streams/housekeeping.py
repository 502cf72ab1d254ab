"""Forgets what has served its time, an hour after an hour: the list below is all that is tidied."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio

from core.errors import StorageUnavailable
from db.idempotency import forget_old_keys
from db.inbox import forget_applied
from db.people.ended_sessions import forget_ended_sessions
from db.pool import Pool

__all__ = ["keep_house", "tidy"]

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 3600.0

# What goes, and how; each deletes in slices and says how many. The times are theirs: 7, 30 and 30 days.
CHORES: Final[Mapping[str, Callable[[Pool], Awaitable[int]]]] = {
    "stored answers": forget_old_keys,
    "marks of applied events": forget_applied,
    "sessions that ended": forget_ended_sessions,
}


async def keep_house(pool: Pool, every_seconds: float = EVERY_SECONDS) -> None:
    """Tidy at once and then every hour, until cancelled. Several workers may: deleting twice deletes once."""
    while True:
        try:
            await tidy(pool)
        except StorageUnavailable as error:
            logger.warning("tidying waits for the database: %s", error)
        await anyio.sleep(every_seconds)


async def tidy(pool: Pool) -> Mapping[str, int]:
    """Do every chore once; how many rows each has deleted. Raises StorageUnavailable."""
    done = {name: await forget(pool) for name, forget in CHORES.items()}
    if any(done.values()):
        logger.info("forgot %s", ", ".join(f"{number} {name}" for name, number in done.items() if number))
    return done
