"""What the first page for operators shows: one look at the process, the broker, the database."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from db import dead_letters
from db.dead_letters import Replay
from db.pool import Pool
from streams import relay_watch
from streams.consumers.runner import ConsumerRunner, ConsumerStatistics
from streams.dead_letters.watching import WatchStatistics
from streams.kafka.monitor import MonitorStatistics
from streams.relay_watch import RelayView
from taskforge.parts.process import Process

__all__ = ["Overview", "look"]

REPLAYS: Final = 10


class Overview(Struct, frozen=True):
    """What the first page shows. `here` has the consumers of this very worker."""

    broker: MonitorStatistics
    relay: RelayView | None
    backlogs: WatchStatistics
    here: Mapping[str, ConsumerStatistics]
    replays: Sequence[Replay]


async def look(process: Process, seconds: float) -> Overview:
    """A look that waits so long for the teams. Raises StorageUnavailable."""
    return Overview(
        process.broker.statistics(),
        await _relay(process.pools.worker, seconds),
        process.failures.statistics(),
        {part.name: part.statistics() for part in process.parts if isinstance(part, ConsumerRunner)},
        await dead_letters.newest(process.pools.worker, REPLAYS),
    )


async def _relay(pool: Pool, seconds: float) -> RelayView | None:
    """None when a look at all teams takes too long for a page."""
    try:
        async with asyncio.timeout(seconds):
            return await relay_watch.look(pool)
    except TimeoutError:
        return None
