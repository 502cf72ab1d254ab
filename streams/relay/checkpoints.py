"""Checkpoints for data teams: what a copy of a team's history must add up to, published behind the events it counts.

A checkpoint is made of the journal, and counts no event that the relay has not published in this life of the broker:
its cursor, where the range is entrusted to that life, says how far that is. The row of the team is held meanwhile, so
that of two workers none publishes an older one after a newer. Killed in between, a worker leaves what it had taken in,
and the next one publishes the same checkpoint, which a compacted topic has once.
"""

import logging
import time
from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

import anyio
import msgspec
from aiokafka import TopicPartition
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec import Struct, structs

from core.checkpoints import Checkpoint
from core.codec import id_of_event
from core.errors import StorageUnavailable
from db import checkpoints
from db.checkpoints import Pace
from db.journal.relay_cursors import BEGIN, RANGES
from db.pool import Pool
from db.transaction import writing
from streams.kafka.broker import Backoff, BrokerUnavailable, broker_errors, producing, reading
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.relay_state import range_key
from streams.kafka.topics import CHECKPOINTS, checkpoint_headers, team_key
from streams.relay.publisher import Publisher, RecordsLost
from streams.relay.records import Record
from streams.settings import KafkaSettings

__all__ = ["CheckpointStatistics", "CheckpointWriter"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
FROZEN_SECONDS: Final = 30.0
"""A look that takes in a long history reports after each of its pages."""
LOOK_TEAMS: Final = 2_000
"""Teams of one look: the next ones by id, so that its cost does not grow with the installation."""
ENDED_TEAMS: Final = 100

_encode = msgspec.json.Encoder().encode


class CheckpointStatistics(Struct, frozen=True):
    """Since the start: checkpoints `published` and `pages` taken in; `ready` while broker and database answer."""

    published: int = 0
    pages: int = 0
    ready: bool = False


class CheckpointWriter:
    """Publishes the checkpoints that are due. Any number of workers may, beside each other; `pool` is the worker's."""

    name = "checkpoints"

    def __init__(self, pool: Pool, kafka: KafkaSettings, monitor: BrokerMonitor) -> None:
        self._pool, self._kafka, self._monitor = pool, kafka, monitor
        self._pace = Pace(kafka.checkpoint_events, timedelta(minutes=kafka.checkpoint_minutes))
        self._stopping = anyio.Event()
        self._after = BEGIN
        self._looked = float("-inf")
        self._lost = False
        self._statistics = CheckpointStatistics()

    def stop(self) -> None:
        """Finish the team in hand and return from `run`."""
        self._stopping.set()

    @property
    def ready(self) -> bool:
        """Whether broker and database answer. A look that is long overdue hangs in one of them."""
        return self._statistics.ready and time.monotonic() - self._looked < FROZEN_SECONDS

    def statistics(self) -> CheckpointStatistics:
        return structs.replace(self._statistics, ready=self.ready)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Publish until stopped; a broker or database that is down is waited for. Needs the monitor beside it."""
        backoff = Backoff()
        task_status.started()
        while not self._stopping.is_set():
            try:
                incarnation = await self._monitor.known_unless(self._stopping)
                if incarnation:
                    await self._publish_while(incarnation, backoff)
            except (BrokerUnavailable, StorageUnavailable) as error:
                logger.warning("checkpoints wait: %s", error)
                self._lost = self._lost or isinstance(error, RecordsLost)
                self._count(ready=False)
                self._monitor.doubt()
                await backoff.wait()
        self._count(ready=False)

    async def _publish_while(self, incarnation: str, backoff: Backoff) -> None:
        """Look after look, as long as the broker lives this life."""
        async with producing(self._kafka) as producer:
            with broker_errors():
                partitions = sorted(await producer.partitions_for(CHECKPOINTS))
            await self._forget_lost(partitions)
            publisher = Publisher(producer, {CHECKPOINTS: partitions})
            while not self._stopping.is_set() and self._monitor.is_current(incarnation):
                if not await self._look(incarnation, publisher):
                    await self._idle()
                backoff.reset()

    async def _idle(self) -> None:
        with anyio.move_on_after(LOOK_SECONDS):
            await self._stopping.wait()

    async def _forget_lost(self, partitions: Collection[int]) -> None:
        """Somebody may have deleted the topic: what was in there is due again, in a life of the broker that goes on."""
        async with reading(self._kafka) as consumer:
            with broker_errors():
                ends = await consumer.end_offsets([TopicPartition(CHECKPOINTS, number) for number in partitions])
        if self._lost or not any(ends.values()):
            await checkpoints.forget(self._pool, range(RANGES))
            self._lost = False

    async def _look(self, incarnation: str, publisher: Publisher) -> int:
        """Publish for the next teams; how many were due."""
        state = self._monitor.state
        # The cursors of a range speak of this life only once it is entrusted to it.
        mine = [number for number in range(RANGES) if state.get(range_key(number)) == incarnation.encode()]
        due, last = await checkpoints.due(
            self._pool, mine, incarnation, self._pace, after=self._after, limit=LOOK_TEAMS
        )
        self._after = last or BEGIN
        self._count(ready=True)
        for team_id in due:
            while not self._stopping.is_set() and await self._take_in(team_id, incarnation, publisher):
                self._count(ready=True)
        return len(due) + await self._end_teams(incarnation, publisher)

    async def _end_teams(self, incarnation: str, publisher: Publisher) -> int:
        """Take the checkpoints of deleted teams out of the topic, and then their rows; how many teams those were."""
        ended = await checkpoints.of_ended_teams(self._pool, ENDED_TEAMS)
        for team_id in ended:
            async with writing(self._pool) as tx:
                if await checkpoints.end(tx, team_id):
                    headers = checkpoint_headers(id_of_event(team_id, 0, 0), incarnation)
                    tombstone = Record(CHECKPOINTS, team_key(team_id), None, headers)
                    await self._produce(tombstone, incarnation, publisher)
        return len(ended)

    async def _take_in(self, team_id: UUID, incarnation: str, publisher: Publisher) -> bool:
        """Take in a page, and publish when that was the last; whether there is more to do."""
        async with writing(self._pool) as tx:
            position = await checkpoints.hold(tx, team_id, incarnation)
            if position is None:
                return False
            position = await checkpoints.take_in(tx, position)
            self._count(pages=1, ready=True)
            if position.seq < position.cursor:
                return True
            await self._publish(await checkpoints.checkpoint(tx, position), incarnation, publisher)
            await checkpoints.published(tx, position, incarnation)
        self._count(published=1, ready=True)
        return False

    async def _publish(self, checkpoint: Checkpoint, incarnation: str, publisher: Publisher) -> None:
        event = id_of_event(checkpoint.team, checkpoint.epoch, checkpoint.seq)
        headers = checkpoint_headers(event, incarnation)
        record = Record(CHECKPOINTS, team_key(checkpoint.team), _encode(checkpoint), headers)
        await self._produce(record, incarnation, publisher)

    async def _produce(self, record: Record, incarnation: str, publisher: Publisher) -> None:
        async with self._monitor.publishing:
            if not self._monitor.is_current(incarnation):
                raise BrokerUnavailable("the broker changed before a checkpoint was published")
            await publisher.publish([record], _always)

    def _count(self, *, published: int = 0, pages: int = 0, ready: bool) -> None:
        before = self._statistics
        self._statistics = CheckpointStatistics(before.published + published, before.pages + pages, ready)
        self._looked = time.monotonic()


def _always() -> bool:
    """The row that is held says who may publish."""
    return True
