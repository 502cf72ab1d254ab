"""The part of every process that notices a restored database and gives its teams new epochs."""

import logging
from typing import Final

import anyio

from core.errors import StorageUnavailable
from db.highest_epoch import HighestEpoch
from db.journal.epochs import history_of, notice_restore, raise_due_epochs
from db.pool import Pool, Pools

__all__ = ["settle_history", "watch_history"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 3.0


async def settle_history(pool: Pool, highest: HighestEpoch) -> None:
    """Have every team on the history that stands, before anything is served. Raises StorageUnavailable.

    Whoever has connected has noticed a restore, if there was one (`db/pool.py`).
    """
    teams = 0
    await highest.look()
    while raised := await raise_due_epochs(pool, highest=highest):
        teams += len(raised)
    if teams:
        logger.warning("%d teams have a new epoch", teams)


async def watch_history(pools: Pools, highest: HighestEpoch) -> None:
    """Do so again and again until cancelled: a database may be restored under a running process.

    Connections from before a restore in place have plans for tables that are gone: they are replaced, so that no
    request has to find that out.
    """
    known = None
    while True:
        await anyio.sleep(LOOK_SECONDS)
        try:
            await notice_restore(pools.writer)
            await settle_history(pools.writer, highest)
            now = await history_of(pools.writer)
        except StorageUnavailable as error:
            logger.warning("whether the database was restored cannot be asked: %s", error)
            await pools.writer.expire_connections()  # They may be such ones themselves.
            continue
        if known not in {None, now}:
            logger.warning("the tables are others than before: all connections are replaced")
            for pool in (pools.api, pools.writer, pools.worker):
                await pool.expire_connections()
        known = now
