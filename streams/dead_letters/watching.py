"""Measures every consumer group from outside: how far behind it is, what waits to be tried again, and what is dead.

The numbers are the broker's own, not what a member of the group believes, so that a consumer which runs nowhere is seen
to fall behind.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import anyio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct, structs

from core.errors import StorageUnavailable
from db import dead_letters
from db.pool import Pool
from streams.dead_letters.high_waters import HighWaters
from streams.kafka.broker import Backoff, BrokerUnavailable, administrating, broker_errors, reading
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.topics import dlq_topic, partition_counts, retry_topic
from streams.settings import KafkaSettings

__all__ = ["Backlog", "FailureWatch", "Group", "WatchStatistics"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 8.0
OLDEST_SECONDS: Final = 2.0
"""How long a look reads for the times of oldest records; what has not come by then is known by the next one."""


class Group(Struct, frozen=True):
    """A consumer group to be measured: the consumer's name, and the topic that it reads."""

    consumer: str
    topic: str

    @property
    def name(self) -> str:
        return f"taskforge.{self.consumer}"


class Backlog(Struct, frozen=True):
    """What one consumer has before it, as of the last look.

    `lag`: by partition of its topic, records that it has not finished. `retries`: by delay (0 is the shortest), records
    that wait to be tried again, the oldest since `oldest_retry`. `dead`: dead letters that nobody had tried again, the
    oldest of them since `oldest_dead`.
    """

    consumer: str
    topic: str
    lag: Mapping[int, int]
    retries: Mapping[int, int]
    dead: int
    oldest_retry: datetime | None = None
    oldest_dead: datetime | None = None


class WatchStatistics(Struct, frozen=True):
    """Everybody's backlog as of `at`; nothing before the first look. `age` seconds have passed since."""

    backlogs: Sequence[Backlog] = ()
    at: datetime | None = None
    age: float = 0.0


class _Ends(Struct, frozen=True):
    """Where partitions begin and end, and how far the groups have committed."""

    begins: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    committed: Mapping[tuple[str, TopicPartition], int]
    answered: Mapping[TopicPartition, int] = {}
    """Where partitions end by answers to fetches, which say better than the list does, as far as there were any."""

    def end(self, place: TopicPartition) -> int:
        """Where the partition ends, as well as that is known."""
        return self.answered.get(place, self.ends[place])

    def next(self, consumer: str, place: TopicPartition) -> int:
        """What the group reads next; offsets beyond the end are of an earlier life of the broker."""
        committed = self.committed.get((consumer, place), -1)
        return committed if self.begins[place] <= committed <= self.end(place) else self.begins[place]

    def left(self, consumer: str, topic: str) -> dict[int, int]:
        """By partition, what the group has not finished."""
        places = sorted(place for place in self.ends if place.topic == topic)
        return {place.partition: max(0, self.end(place) - self.next(consumer, place)) for place in places}

    def beyond(self) -> set[TopicPartition]:
        """Partitions in which a group has come further than to their listed end."""
        return {place for (_, place), offset in self.committed.items() if offset > self.ends[place]}


class FailureWatch:
    """Looks every few seconds while it runs, one in each worker. Needs the monitor to run beside it."""

    def __init__(
        self,
        pool: Pool,
        kafka: KafkaSettings,
        monitor: BrokerMonitor,
        groups: Iterable[Group],
        *,
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self._pool, self._kafka, self._monitor, self._seconds = pool, kafka, monitor, seconds
        self._groups = tuple(groups)
        self._times: dict[TopicPartition, tuple[int, datetime]] = {}
        self._high_waters = HighWaters()
        self._behind: Mapping[TopicPartition, tuple[int, int]] = {}
        self._statistics, self._looked = WatchStatistics(), 0.0

    def statistics(self) -> WatchStatistics:
        age = time.monotonic() - self._looked if self._statistics.at else 0.0
        return WatchStatistics(self._statistics.backlogs, self._statistics.at, age)

    async def run(self) -> None:
        """Look until cancelled; a broker or a database that is down is waited for, and the last numbers stay."""
        backoff = Backoff(first=0.5, last=self._seconds)
        while True:
            incarnation = await self._monitor.known()
            try:
                async with administrating(self._kafka) as admin, reading(self._kafka) as reader:
                    while self._monitor.lives(incarnation):
                        await self._look(admin, reader, incarnation)
                        backoff.reset()
                        with anyio.move_on_after(self._seconds):
                            await self._monitor.changed(incarnation)
            except (BrokerUnavailable, StorageUnavailable) as error:
                logger.info("the numbers of consumers are of before: %s", error)
                await backoff.wait()

    async def _look(self, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer, incarnation: str) -> None:
        with broker_errors(), anyio.fail_after(ANSWER_SECONDS):
            ends = await self._ends(admin, reader)
            ends = structs.replace(ends, answered=await self._high_waters.ask(reader, self._doubtful(ends)))
        dead = {group.consumer: await self._first_dead(group, ends, incarnation) for group in self._groups}
        wanted = {place: offset for found, _ in dead.values() for place, offset in found.items()}
        for group in self._groups:
            wanted |= _waiting(group.consumer, retry_topic(group.consumer), ends)
        with broker_errors():
            await self._find_times(reader, wanted)
        found = [self._backlog(group, ends, dead[group.consumer][1], wanted) for group in self._groups]
        self._statistics, self._looked = WatchStatistics(found, datetime.now(UTC)), time.monotonic()

    async def _ends(self, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer) -> _Ends:
        counts = await partition_counts(admin)
        topics = {group.topic for group in self._groups}
        topics |= {name(group.consumer) for group in self._groups for name in (retry_topic, dlq_topic)}
        places = [TopicPartition(topic, n) for topic in sorted(topics) for n in range(counts.get(topic, 0))]
        committed: dict[tuple[str, TopicPartition], int] = {}
        for group in self._groups:
            own = [place for place in places if place.topic in (group.topic, retry_topic(group.consumer))]
            found = await admin.list_consumer_group_offsets(group.name, partitions=own) if own else {}
            committed |= {(group.consumer, place): offset.offset for place, offset in found.items()}
        return _Ends(await reader.beginning_offsets(places), await reader.end_offsets(places), committed)

    def _doubtful(self, ends: _Ends) -> dict[TopicPartition, int]:
        """Listed ends that cannot be right, and those before which a group has stood still since the last look."""
        behind: dict[TopicPartition, tuple[int, int]] = {}
        for consumer, place in ends.committed:
            first, end = ends.next(consumer, place), ends.ends[place]
            if first < end:
                behind[place] = min(first, behind.get(place, (first, end))[0]), end
        still = {place for place, known in behind.items() if self._behind.get(place) == known}
        self._behind = behind
        return {place: ends.ends[place] for place in still | ends.beyond()}

    async def _first_dead(self, group: Group, ends: _Ends, incarnation: str) -> tuple[dict[TopicPartition, int], int]:
        """The first letter in each partition that nobody had tried again, and how many there are in all."""
        topic, number = dlq_topic(group.consumer), 0
        first: dict[TopicPartition, int] = {}
        places = [place for place in ends.ends if place.topic == topic and ends.ends[place] > ends.begins[place]]
        if not places:
            return {}, 0
        least = min(ends.begins[place] for place in places)
        marks = await dead_letters.marks(self._pool, incarnation, group.consumer, least)
        for place in places:
            begin, end = ends.begins[place], ends.ends[place]
            marked = {offset for partition, offset in marks if partition == place.partition and begin <= offset < end}
            number += end - begin - len(marked)
            if len(marked) < end - begin:
                first[place] = next(offset for offset in range(begin, end) if offset not in marked)
        return first, number

    async def _find_times(self, reader: AIOKafkaConsumer, wanted: Mapping[TopicPartition, int]) -> None:
        """When the wanted records were written, as far as that is not known yet."""
        self._times = {p: known for p, known in self._times.items() if wanted.get(p) == known[0]}
        missing = {place: offset for place, offset in wanted.items() if place not in self._times}
        if not missing:
            return
        reader.assign(list(missing))
        for place, offset in missing.items():
            reader.seek(place, offset)
        with anyio.move_on_after(OLDEST_SECONDS):
            while left := [place for place in missing if place not in self._times]:
                for place, records in (await reader.getmany(*left, timeout_ms=200, max_records=1)).items():
                    self._times[place] = missing[place], datetime.fromtimestamp(records[0].timestamp / 1000, UTC)
        # Not unsubscribed, for the reason that `high_waters.py` gives.
        reader.pause(*missing)

    def _backlog(self, group: Group, ends: _Ends, dead: int, wanted: Mapping[TopicPartition, int]) -> Backlog:
        retries = retry_topic(group.consumer)
        return Backlog(
            group.consumer,
            group.topic,
            ends.left(group.consumer, group.topic),
            ends.left(group.consumer, retries),
            dead,
            self._oldest(retries, wanted),
            self._oldest(dlq_topic(group.consumer), wanted),
        )

    def _oldest(self, topic: str, wanted: Mapping[TopicPartition, int]) -> datetime | None:
        times = [at for place, (_, at) in self._times.items() if place.topic == topic and place in wanted]
        return min(times, default=None)


def _waiting(consumer: str, topic: str, ends: _Ends) -> dict[TopicPartition, int]:
    """In each partition of the topic of delays where something waits, what is tried next."""
    left = ends.left(consumer, topic)
    places = [TopicPartition(topic, number) for number, waiting in left.items() if waiting]
    return {place: ends.next(consumer, place) for place in places}
