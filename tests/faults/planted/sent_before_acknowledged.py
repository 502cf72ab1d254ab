"""Events count as published once they are handed to the client library."""

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Any

from streams.relay.publisher import Place, Publisher
from streams.relay.records import Record


async def write(self: Publisher, place: Place, queue: list[Record], allowed: Callable[[], bool]) -> None:
    topic, partition = place
    written = 0
    while written < len(queue):
        batch = self._producer.create_batch()
        for record in islice(queue, written, None):
            if batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is None:
                break
        batch.close()
        written += batch.record_count()
        sent = await self._producer.send_batch(batch, topic, partition=partition)
        sent.add_done_callback(_look_away)


def _look_away(sent: "asyncio.Future[Any]") -> None:
    if not sent.cancelled():
        sent.exception()


Publisher._write = write  # type: ignore[method-assign]
