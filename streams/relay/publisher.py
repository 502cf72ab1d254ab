"""Writes records in order: whole batches, one on its way per partition at a time, all partitions side by side.

One at a time is what keeps the order: were the next batch sent while the last one is in doubt, it could land first.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

import anyio
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from streams.kafka.broker import BROKER_ERRORS, BrokerUnavailable
from streams.relay.records import Record

__all__ = ["LeaseLost", "Publisher", "RecordsLost"]

KEYS_REMEMBERED: Final = 20_000

Place = tuple[str, int]


class LeaseLost(Exception):
    """Another worker may be publishing these teams by now."""


class RecordsLost(BrokerUnavailable):
    """The broker gave an offset for the second time: what had it before is lost, although it was acknowledged."""


class Publisher:
    """One producer's writing, for one life of the broker. `partitions` names those of each topic, in order."""

    def __init__(self, producer: AIOKafkaProducer, partitions: Mapping[str, Sequence[int]]) -> None:
        self._producer = producer
        self._partitions = {topic: list(numbers) for topic, numbers in partitions.items()}
        self._partitioner = DefaultPartitioner()
        self._places: dict[tuple[str, bytes], int] = {}
        self._ends: dict[Place, int] = {}

    def partition(self, topic: str, key: bytes) -> int:
        """Where records with this key go: murmur2 of the key, as in every Kafka client."""
        number = self._places.get((topic, key))
        if number is None:
            if len(self._places) >= KEYS_REMEMBERED:
                self._places.clear()
            partitions = self._partitions[topic]
            number = self._places[topic, key] = self._partitioner(key, partitions, partitions)
        return number

    def partitions(self, topic: str) -> Collection[int]:
        """The numbers of the topic's partitions."""
        return self._partitions[topic]

    async def publish(self, records: Iterable[Record], allowed: Callable[[], bool]) -> None:
        """Write all records and wait until every replica has them; order is kept within a partition.

        `allowed` is asked before each batch leaves; no raises LeaseLost. Raises BrokerUnavailable when any batch
        failed, and RecordsLost when offsets went back.
        """
        by_place: dict[Place, list[Record]] = {}
        for record in records:
            by_place.setdefault((record.topic, self.partition(record.topic, record.key)), []).append(record)
        failures: list[Exception] = []

        async def write(place: Place, queue: list[Record]) -> None:
            try:
                await self._write(place, queue, allowed)
            # The client asserts that a partition exists: it does not in a topic that somebody's question just made.
            except (*BROKER_ERRORS, AssertionError, BrokerUnavailable, LeaseLost) as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            for place, queue in by_place.items():
                group.start_soon(write, place, queue)
        if failures:
            failure = next((error for error in failures if isinstance(error, RecordsLost)), failures[0])
            raise _as_ours(failure) from failure

    async def _write(self, place: Place, queue: list[Record], allowed: Callable[[], bool]) -> None:
        topic, partition = place
        written = 0
        while written < len(queue):
            batch = self._producer.create_batch()
            for record in islice(queue, written, None):
                if batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is None:
                    break
            batch.close()
            if not allowed():
                raise LeaseLost("the lease was lost with the database session")
            count = batch.record_count()
            acknowledged = await (await self._producer.send_batch(batch, topic, partition=partition))
            self._check_end(place, acknowledged.offset, count)
            written += count

    def _check_end(self, place: Place, offset: int, count: int) -> None:
        end = self._ends.get(place, 0)
        if offset < end:
            raise RecordsLost(f"{place[0]}/{place[1]} went back from offset {end} to {offset}")
        self._ends[place] = offset + count


def _as_ours(error: Exception) -> Exception:
    if isinstance(error, BrokerUnavailable | LeaseLost):
        return error
    return BrokerUnavailable(f"{type(error).__name__}: {error}")
