"""What a topic's last records say about the relay's own progress, for when the cursor does not know.

A relay that died between the acknowledgement and the cursor's step left at most two pages per team in the topic, one
after the other. The first begins with the event after the cursor. Records that begin later are no progress: a page of
an earlier life of the broker, which landed in a topic made anew, or the rest of a topic that lost its first records.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, TypeAlias
from uuid import UUID

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Struct

from core.codec import parse_event_id
from core.seq import MAX_SEQ
from streams.kafka.broker import broker_errors, reading
from streams.kafka.topics import TASK_EVENTS
from streams.settings import KafkaSettings

__all__ = ["DEPTH", "Numbered", "Run", "TopicRecord", "last_runs", "numbered", "read_topic", "true_ends"]

DEPTH: Final = 10_000
READ_SECONDS: Final = 20.0
"""How long one read may take; each brings some hundred records."""
# An end may lie behind records that cannot be read (compacted, aborted, or lost by the embedded broker).
SILENT_READS: Final = 5
SILENT_MS: Final = 200

Floor = Callable[[UUID, int], int]

TopicRecord: TypeAlias = "ConsumerRecord[bytes, bytes]"

Numbered = tuple[int, int]
"""An event's epoch and seq. They compare: a later epoch comes after all events that it left standing."""


class Run(Struct, frozen=True):
    """Events that stand in a topic one after the other, without a hole: from the seq `first` to `last`."""

    first: int
    last: Numbered

    def and_then(self, event: Numbered) -> "Run":
        """The run after one more record: longer, the same after a repeat, or begun anew after a hole."""
        epoch, seq = event
        if seq < self.first or (event > self.last and seq > self.last[1] + 1):
            return Run(seq, event)
        return self if event <= self.last else Run(self.first, (epoch, seq))

    def follows(self, published: int) -> bool:
        """Whether no event is missing between a cursor at the seq `published` and the run's end."""
        return self.first <= published + 1


async def last_runs(settings: KafkaSettings, teams: Mapping[UUID, int], floor: Floor) -> dict[UUID, Run]:
    """Each team's last run of events among the last `DEPTH` records of its partition, where there is one.

    `teams` gives each team's partition; records of a team below `floor(team, partition)` do not count.
    Raises `BrokerUnavailable`.
    """
    runs: dict[UUID, Run] = {}
    async with aclosing(read_topic(settings, TASK_EVENTS, set(teams.values()), depth=DEPTH)) as slices:
        async for records in slices:
            for record in records:
                if (event := numbered(record)) is None:
                    continue
                team_id, epoch, seq = event
                if teams.get(team_id) == record.partition and record.offset >= floor(team_id, record.partition):
                    before = runs.get(team_id)
                    runs[team_id] = before.and_then((epoch, seq)) if before else Run(seq, (epoch, seq))
    return runs


def numbered(record: TopicRecord) -> tuple[UUID, int, int] | None:
    """Team, epoch and seq of the event that a record is about; None for a record that is none of ours."""
    try:
        team_id, epoch, seq = parse_event_id(dict(record.headers).get("event_id", b"").decode())
    except ValueError:
        return None
    return (team_id, epoch, seq) if seq <= MAX_SEQ else None


async def read_topic(
    settings: KafkaSettings, topic: str, partitions: Iterable[int], *, depth: int | None = None
) -> AsyncGenerator[Sequence[TopicRecord]]:
    """The records of these partitions as far as they reach now, in slices of one partition each, in its order.

    With a `depth`, only the last so many of each partition. Raises `BrokerUnavailable`.
    """
    places = {TopicPartition(topic, number) for number in partitions}
    if not places:
        return
    async with reading(settings) as consumer:
        with broker_errors(), anyio.fail_after(READ_SECONDS):
            ends = await _seek(consumer, places, depth)
        silent = 0
        while silent < SILENT_READS:
            with broker_errors(), anyio.fail_after(READ_SECONDS):
                if not await _is_before(consumer, ends):
                    return
                found = await consumer.getmany(timeout_ms=SILENT_MS)
            silent = 0 if found else silent + 1
            for records in found.values():
                yield records
        with broker_errors(), anyio.fail_after(READ_SECONDS):
            await consumer.end_offsets(list(places))  # A broker that is away is silent, too, and says so only here.


async def true_ends(consumer: AIOKafkaConsumer, places: set[TopicPartition]) -> dict[TopicPartition, int]:
    """Where the partitions end, found by reading their last batches.

    The embedded broker gives the offset after the *first* record of the last batch. Raises what the client raises.
    """
    ends = await _seek(consumer, places, depth=1)
    silent = 0
    while silent < SILENT_READS and await _is_before(consumer, ends):
        silent = 0 if await consumer.getmany(timeout_ms=SILENT_MS) else silent + 1
    return {place: max(end, await consumer.position(place)) for place, end in ends.items()}


async def _seek(
    consumer: AIOKafkaConsumer, places: set[TopicPartition], depth: int | None
) -> dict[TopicPartition, int]:
    consumer.assign(list(places))
    begins = await consumer.beginning_offsets(list(places))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(places))
    for place, end in ends.items():
        consumer.seek(place, begins[place] if depth is None else max(begins[place], end - depth))
    return ends


async def _is_before(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for place, end in ends.items():
        if await consumer.position(place) < end:
            return True
    return False
