"""From the outbox to its topics: in order, at least once, and nothing gone that the broker may not have.

A round is one transaction: claim rows, publish them, make sure that the broker still lives the life they were published
in, take them out of the outbox. Whatever goes wrong in between leaves the rows where they are, and they go again under
the same id and key. What has left is kept beside the outbox, and waits again when the broker begins another life: it
may have lost the record before its consumer was done with it. So doubles are rows of a round that was cut off between
the broker's acknowledgement and the commit, and rows that had been sent to an earlier life of the broker.

Rows that are to be discarded are claimed, made into records and taken out like all others, and never published.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec import Struct, structs

from core.errors import StorageUnavailable
from db import outbox
from db.outbox import Backlog, Waiting
from db.pool import Pool
from streams.kafka.broker import Backoff, BrokerUnavailable, broker_errors, producing
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.topics import Headers
from streams.relay.publisher import Publisher
from streams.relay.records import Record
from streams.settings import KafkaSettings

__all__ = ["OutboxRelay", "OutboxStatistics"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
FROZEN_SECONDS: Final = 20.0  # A round may take `SURE_SECONDS` and more.
ROUND_ROWS: Final = 500
# Long enough for one look at a slow broker; a transaction may idle no longer than 30 s.
SURE_SECONDS: Final = 10.0


class OutboxStatistics(Struct, frozen=True):
    """`moved` and `discarded` are counted since the start, and so is `given_back`: rows that wait again because the
    broker may have lost them. `waiting` rows have not left as of the last look, the oldest of them for `seconds`;
    `ready` while broker and database answer."""

    moved: int = 0
    discarded: int = 0
    given_back: int = 0
    rounds: int = 0
    waiting: int = 0
    seconds: float = 0.0
    ready: bool = False


class OutboxRelay:
    """Moves rows whenever no other worker does. It looks every second by itself; `wake` it when there is something."""

    name = "outbox"

    def __init__(self, pool: Pool, kafka: KafkaSettings, monitor: BrokerMonitor) -> None:
        self._pool = pool
        self._kafka = kafka
        self._monitor = monitor
        self._stopping = anyio.Event()
        self._awake = anyio.Event()
        self._statistics = OutboxStatistics()
        self._round_ended = float("-inf")
        self._complete_for = ""

    def wake(self) -> None:
        """A row has been committed."""
        self._awake.set()

    def stop(self) -> None:
        """Finish the round and return from `run`."""
        self._stopping.set()
        self._awake.set()

    @property
    def ready(self) -> bool:
        """Whether broker and database answer. A round that is long overdue hangs in one of them."""
        return self._statistics.ready and time.monotonic() - self._round_ended < FROZEN_SECONDS

    def statistics(self) -> OutboxStatistics:
        return structs.replace(self._statistics, ready=self.ready)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Move rows until stopped; a broker or database that is down is waited for. Needs the monitor beside it."""
        backoff = Backoff()
        task_status.started()
        while not self._stopping.is_set():
            try:
                incarnation = await self._monitor.known_unless(self._stopping)
                if incarnation:
                    await self._move_while(incarnation, backoff)
            except (BrokerUnavailable, StorageUnavailable) as error:
                logger.warning("the outbox waits: %s", error)
                self._count(ready=False)
                self._monitor.doubt()
                await backoff.wait()
        self._count(ready=False)

    async def _move_while(self, incarnation: str, backoff: Backoff) -> None:
        """Round after round, as long as the broker lives this life."""
        async with producing(self._kafka) as producer:
            with broker_errors():
                partitions = [sorted(await producer.partitions_for(topic)) for topic in outbox.TOPICS]
            publisher = Publisher(producer, dict(zip(outbox.TOPICS, partitions, strict=True)))
            while not self._stopping.is_set() and self._monitor.is_current(incarnation):
                self._awake = anyio.Event()
                rows = await self._round(incarnation, publisher) if await self._is_complete(incarnation) else 0
                self._round_ended = time.monotonic()
                backoff.reset()
                if rows < ROUND_ROWS:
                    self._measure(await outbox.backlog(self._pool))
                    await self._idle()

    async def _idle(self) -> None:
        if not self._stopping.is_set():
            with anyio.move_on_after(LOOK_SECONDS):
                await self._awake.wait()

    async def _is_complete(self, incarnation: str) -> bool:
        """Whether what earlier lives of the broker were sent waits again: once per life, when nobody else moves."""
        if self._complete_for != incarnation:
            given_back = await outbox.give_back(self._pool, incarnation)
            if given_back is None:
                return False
            if given_back:
                logger.warning("the broker lives another life: %d rows that had left the outbox go again", given_back)
            self._count(given_back=given_back)
            self._complete_for = incarnation
        return True

    async def _round(self, incarnation: str, publisher: Publisher) -> int:
        """Move what waits; how many rows have left the outbox."""
        async with outbox.moving(self._pool, ROUND_ROWS, incarnation) as rows:
            records = [_record(row) for row in rows]
            wanted = [record for row, record in zip(rows, records, strict=True) if not row.discard]
            if wanted:
                await self._publish(incarnation, publisher, wanted)
        self._count(moved=len(wanted), discarded=len(rows) - len(wanted), rounds=1 if rows else 0)
        return len(rows)

    async def _publish(self, incarnation: str, publisher: Publisher, records: Sequence[Record]) -> None:
        """Publish, and be sure that it was to the life of the broker that has our topics.

        A broker that keeps its topics in memory acknowledges records for topics it lost a moment ago, and forgets them.
        """
        async with self._monitor.publishing:
            if not self._monitor.is_current(incarnation):
                raise BrokerUnavailable("the broker changed before rows of the outbox were published")
            await publisher.publish(records, _always)
        with broker_errors(), anyio.fail_after(SURE_SECONDS):
            await self._monitor.look()
        if not self._monitor.lives(incarnation):
            raise BrokerUnavailable("the broker lost rows of the outbox, which it had acknowledged: they go again")

    def _measure(self, backlog: Backlog) -> None:
        age = 0.0 if backlog.oldest is None else (datetime.now(UTC) - backlog.oldest).total_seconds()
        self._count(waiting=backlog.waiting, seconds=max(0.0, age), ready=True)

    def _count(self, *, moved: int = 0, discarded: int = 0, given_back: int = 0, rounds: int = 0, **now: float) -> None:
        """Add to the counters and set what is a measure."""
        before = self._statistics
        self._statistics = structs.replace(
            before,
            moved=before.moved + moved,
            discarded=before.discarded + discarded,
            given_back=before.given_back + given_back,
            rounds=before.rounds + rounds,
            **now,
        )


def _always() -> bool:
    """The claim is a lock of the transaction that takes the rows out: losing it leaves them where they are."""
    return True


def _record(row: Waiting) -> Record:
    """`event_id` is the row's id: what consumers deduplicate by, as in every topic of ours."""
    headers: Headers = [("event_id", str(row.id).encode()), ("content-type", b"application/json")]
    if row.traceparent:
        headers.append(("traceparent", row.traceparent.encode()))
    return Record(row.topic, row.key.encode(), row.payload.encode(), headers)
