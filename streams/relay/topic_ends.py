"""What a topic's last records say about the relay's own progress, for when the cursor does not know.

A relay that died between the acknowledgement and the cursor's step left at most one page per team in the topic. That
page begins with the event after the cursor. Records that begin later are no progress: a page of an earlier life of the
broker, which landed in a topic made anew, or what is left of a topic that lost its first records.
"""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Struct

from core.codec import parse_event_id
from core.events import event_class
from streams.cloud_events import parse_cloud_event
from streams.kafka.broker import broker_errors, reading
from streams.kafka.topics import TASK_EVENTS
from streams.relay.records import neighbours
from streams.settings import KafkaSettings

__all__ = ["DEPTH", "Lost", "Numbered", "Run", "last_runs", "lost_subjects", "true_ends"]

DEPTH: Final = 10_000
LOST_DEPTH: Final = 100_000
READ_SECONDS: Final = 20.0
# An end may lie behind records that cannot be read (compacted, aborted, or lost by the embedded broker).
SILENT_READS: Final = 5
SILENT_MS: Final = 200

Floor = Callable[[UUID, int], int]

Numbered = tuple[int, int]
"""An event's epoch and seq. They compare: a later epoch comes after all events that it left standing."""


Note = Callable[[int, "ConsumerRecord[bytes, bytes]"], None]
"""(partition, record)."""

Lost = Mapping[UUID, set[UUID]]
"""By team the ids of tasks."""


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
    if not teams:
        return {}
    runs: dict[UUID, Run] = {}

    def note(partition: int, record: "ConsumerRecord[bytes, bytes]") -> None:
        _note(runs, record, teams, floor, partition)

    await _read_tails(settings, set(teams.values()), DEPTH, note)
    return runs


async def lost_subjects(settings: KafkaSettings, teams: Mapping[UUID, int], first: Mapping[UUID, Numbered]) -> Lost:
    """By team, the tasks of events that a restore took back: of an epoch before that of `first`, from its seq on.

    `teams` gives each team's partition; the last `LOST_DEPTH` records of a partition count. Raises BrokerUnavailable.
    """
    lost: dict[UUID, set[UUID]] = {team_id: set() for team_id in teams}

    def note(record: "ConsumerRecord[bytes, bytes]") -> None:
        headers = dict(record.headers)
        try:
            team_id, epoch, seq = parse_event_id(headers.get("event_id", b"").decode())
        except ValueError:
            return
        if team_id in first and epoch < first[team_id][0] and seq >= first[team_id][1]:
            row = parse_cloud_event(record.value)
            if event_class(row.type).state_record != "none":
                lost[team_id].update((row.subject, *(task_id for _, task_id in neighbours([row]))))

    await _read_tails(settings, set(teams.values()), LOST_DEPTH, lambda _, record: note(record))
    return lost


async def _read_tails(
    settings: KafkaSettings,
    partitions: set[int],
    depth: int,
    note: Callable[[int, "ConsumerRecord[bytes, bytes]"], None],
) -> None:
    """Give the last records of each partition to `note`, in their order."""
    async with reading(settings) as consumer:
        with broker_errors(), anyio.fail_after(READ_SECONDS):
            places = {TopicPartition(TASK_EVENTS, number) for number in partitions}
            ends = await _seek_to_tails(consumer, places, depth)
            silent = 0
            while silent < SILENT_READS and await _is_before(consumer, ends):
                found = await consumer.getmany(timeout_ms=SILENT_MS)
                silent = 0 if found else silent + 1
                for place, records in found.items():
                    for record in records:
                        note(place.partition, record)


async def true_ends(consumer: AIOKafkaConsumer, places: set[TopicPartition]) -> dict[TopicPartition, int]:
    """Where the partitions end, found by reading their last batches.

    The embedded broker gives the offset after the *first* record of the last batch. Raises what the client raises.
    """
    ends = await _seek_to_tails(consumer, places, depth=1)
    silent = 0
    while silent < SILENT_READS and await _is_before(consumer, ends):
        silent = 0 if await consumer.getmany(timeout_ms=SILENT_MS) else silent + 1
    return {place: max(end, await consumer.position(place)) for place, end in ends.items()}


async def _seek_to_tails(
    consumer: AIOKafkaConsumer, places: set[TopicPartition], depth: int
) -> dict[TopicPartition, int]:
    consumer.assign(list(places))
    begins = await consumer.beginning_offsets(list(places))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(places))
    for place, end in ends.items():
        consumer.seek(place, max(begins[place], end - depth))
    return ends


async def _is_before(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for place, end in ends.items():
        if await consumer.position(place) < end:
            return True
    return False


def _note(
    runs: dict[UUID, Run],
    record: "ConsumerRecord[bytes, bytes]",
    teams: Mapping[UUID, int],
    floor: Floor,
    partition: int,
) -> None:
    try:
        team_id, epoch, seq = parse_event_id(dict(record.headers).get("event_id", b"").decode())
    except ValueError:
        return
    if teams.get(team_id) == partition and record.offset >= floor(team_id, partition):
        before = runs.get(team_id)
        runs[team_id] = before.and_then((epoch, seq)) if before else Run(seq, (epoch, seq))
