"""Runs one consumer group: handles each event, retries by topic, and is never blocked by a poison message.

A record's offset is committed only after its effect committed, or after its copy in the retry or dead-letter topic was
acknowledged. Records that cannot be tried yet hold their partition: it is paused and sought back, and the poll loop
goes on. What is down for everybody (the database, the broker) holds all partitions and counts as nobody's failure.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, MessageSizeTooLargeError, RecordListTooLargeError
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.schemas import Topic
from msgspec import Struct, structs

from core.errors import StorageUnavailable
from streams.consumers.plan import Busy, ConsumerPlan
from streams.consumers.retries import Outgoing, after_failure, cut_down, due_at, origin_of
from streams.kafka.broker import BROKER_ERRORS, Backoff, BrokerUnavailable, broker_errors, producing
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.security import consumer_security
from streams.settings import KafkaSettings

__all__ = ["ConsumerRunner", "ConsumerStatistics"]

logger = logging.getLogger(__name__)

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 1.0
HOLD_SECONDS: Final = 60.0  # Longer holds are looked at anew, so that a clock that jumps does no lasting harm.
OUTAGE_SECONDS: Final = 1.0
FROZEN_SECONDS: Final = 30.0
BATCH_MS: Final = 100
TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)

Records = Sequence["ConsumerRecord[bytes, bytes]"]


class ConsumerStatistics(Struct, frozen=True):
    """Counted since the start: events by what became of them (see `Handled`), and records that were `retried` or are
    `dead`. `held` partitions wait; `lag` is the records not read yet, as of the last look."""

    applied: int = 0
    passed: int = 0
    expired: int = 0
    retried: int = 0
    dead: int = 0
    restarts: int = 0
    held: int = 0
    lag: int = 0
    ready: bool = False


class _Held(Exception):
    """The record waits: something that everybody needs is down, or the same event is being handled elsewhere."""


class ConsumerRunner:
    """Consumes until stopped; begins anew when the broker lost its topics. Needs the monitor to run beside it."""

    def __init__(self, plan: ConsumerPlan, kafka: KafkaSettings, monitor: BrokerMonitor) -> None:
        self._plan = plan
        self._kafka = kafka
        self._monitor = monitor
        self._stopping = anyio.Event()
        self._incarnation = ""
        self._held: dict[TopicPartition, float] = {}
        self._statistics = ConsumerStatistics()
        self._life: _Life | None = None

    @property
    def name(self) -> str:
        return self._plan.name

    @property
    def topic(self) -> str:
        """What it reads, beside its retries."""
        return self._plan.topic

    @property
    def ready(self) -> bool:
        """Whether it is a member of its group, and its effect does not hang."""
        return self._statistics.ready and (self._life is None or self._life.attempt_seconds() < FROZEN_SECONDS)

    def stop(self) -> None:
        """Finish the batch, commit, leave the group and return from `run`."""
        self._stopping.set()

    def statistics(self) -> ConsumerStatistics:
        """Counted since the start; `held` and `ready` as of now."""
        return structs.replace(self._statistics, held=len(self._held), ready=self.ready)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Consume until stopped; a broker that is down is waited for."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._consume_for_ever)
            task_status.started()
            await self._stopping.wait()
            group.cancel_scope.cancel()

    async def _consume_for_ever(self) -> None:
        backoff = Backoff()
        while True:
            incarnation = await self._monitor.known()
            fresh = self._incarnation not in ("", incarnation)
            self._incarnation = incarnation
            try:
                await self._consume(incarnation, fresh=fresh)
                backoff.reset()
            except BrokerUnavailable as error:
                logger.warning("consumer %s waits for the broker: %s", self._plan.name, error)
                await backoff.wait()
            self._count(restarts=1, ready=False)

    async def _consume(self, incarnation: str, *, fresh: bool) -> None:
        """Consume as long as the broker lives this life; `fresh` means that committed offsets speak of another one."""
        async with producing(self._kafka) as producer:
            life = _Life(self._plan, producer, self._held, lambda: self._monitor.lives(incarnation), self._count)
            self._life = life
            broker = self._broker()
            subscriber = broker.subscriber(
                # Declared nowhere: the monitor makes the topics, with the partitions they need.
                *(Topic(name, declare=False) for name in (self._plan.topic, self._plan.retry_topic)),
                group_id=self._plan.group,
                batch=True,
                max_records=self._plan.batch_records,
                batch_timeout_ms=BATCH_MS,
                auto_offset_reset="earliest",
                ack_policy=AckPolicy.MANUAL,
                parser=_as_it_is,
                decoder=_undecoded,
                fetch_max_wait_ms=BATCH_MS,
                # The first join takes half a session with the embedded broker; Apache Kafka refuses less than 6 s.
                session_timeout_ms=6_000 if self._kafka.idempotent else 2_000,
                heartbeat_interval_ms=1_000 if self._kafka.idempotent else 200,
                listener=_FromTheBeginning(lambda: subscriber.consumer) if fresh else None,
            )

            async def handle(message: Any) -> None:
                if subscriber.consumer is not None:
                    await life.handle(message.raw_message, subscriber.consumer)

            subscriber(handle)
            try:
                with broker_errors(), anyio.fail_after(START_SECONDS):
                    await broker.start()
                self._count(ready=True)
                await self._stay(incarnation, lambda: subscriber.consumer)
            finally:
                self._held.clear()
                with anyio.move_on_after(STOP_SECONDS, shield=True):
                    await broker.stop()

    def _broker(self) -> KafkaBroker:
        with broker_errors():
            security = consumer_security(self._kafka)
        return KafkaBroker(
            self._kafka.bootstrap_servers.split(","),
            security=security,
            client_id=self._plan.group,
            consumer_only=True,
            apply_types=False,
            logger=None,
            graceful_timeout=STOP_SECONDS / 2,
            request_timeout_ms=5_000,
        )

    async def _stay(self, incarnation: str, consumer: Callable[[], AIOKafkaConsumer | None]) -> None:
        """Resume held partitions when they are due and measure the lag, until the broker lives another life."""
        while self._monitor.lives(incarnation):
            if (reader := consumer()) is not None:
                self._release(reader)
                with broker_errors():
                    self._count(lag=await _lag(reader))
            soonest = min(self._held.values(), default=float("inf"))
            with anyio.move_on_after(min(LOOK_SECONDS, max(0.01, soonest - time.monotonic()))):
                await self._monitor.changed(incarnation)

    def _release(self, consumer: AIOKafkaConsumer) -> None:
        now = time.monotonic()
        for place in [place for place, due in self._held.items() if due <= now]:
            del self._held[place]
            if place in consumer.assignment():
                consumer.resume(place)

    def _count(self, **changes: Any) -> None:
        """Flags and measures are set, counters added to."""
        now = {
            name: value if name in ("ready", "lag") else getattr(self._statistics, name) + value
            for name, value in changes.items()
        }
        self._statistics = structs.replace(self._statistics, **now)


class _Life:
    """Handling batches during one life of the broker."""

    def __init__(
        self,
        plan: ConsumerPlan,
        producer: AIOKafkaProducer,
        held: dict[TopicPartition, float],
        lives: Callable[[], bool],
        count: Callable[..., None],
    ) -> None:
        self._plan = plan
        self._producer = producer
        self._held = held
        self._lives = lives
        self._count = count
        self._attempt_began = float("inf")

    def attempt_seconds(self) -> float:
        """How long the record in hand has been handled; below zero when none is."""
        return time.monotonic() - self._attempt_began

    async def handle(self, records: Records, consumer: AIOKafkaConsumer) -> None:
        """Handle a batch; never raises, because the library would skip what was in it."""
        done: dict[TopicPartition, int] = {}
        waiting: set[TopicPartition] = set()
        down = False
        for record in records:
            place = TopicPartition(record.topic, record.partition)
            if place in waiting:
                continue
            wait = OUTAGE_SECONDS if down else self._due(record) - time.time()
            if wait <= 0:
                try:
                    await self._one(record)
                    done[place] = record.offset + 1
                    continue
                except _Held as held:
                    down, wait = not isinstance(held.__cause__, Busy), OUTAGE_SECONDS
                    logger.warning("consumer %s waits: %s", self._plan.name, held.__cause__)
            waiting.add(place)
            self._hold(consumer, place, record.offset, wait)
        await self._commit(consumer, done)

    def _due(self, record: "ConsumerRecord[bytes, bytes]") -> float:
        """Only what we have put off ourselves waits: elsewhere anybody could hold a partition by a header."""
        return due_at(record) if record.topic == self._plan.retry_topic else 0.0

    def _hold(self, consumer: AIOKafkaConsumer, place: TopicPartition, offset: int, seconds: float) -> None:
        if place not in consumer.assignment():
            return  # Given to another member meanwhile, which begins at the committed offset.
        consumer.pause(place)
        consumer.seek(place, offset)
        self._held[place] = time.monotonic() + min(HOLD_SECONDS, seconds)

    async def _commit(self, consumer: AIOKafkaConsumer, done: dict[TopicPartition, int]) -> None:
        """Commit what is done, unless the offsets speak of a life of the broker that is over."""
        mine = {place: offset for place, offset in done.items() if place in consumer.assignment()}
        if not mine or not self._lives():
            return
        try:
            await consumer.commit(mine)
        except (*BROKER_ERRORS, IllegalStateError) as error:
            # Delivered once more, to us or to the partition's next owner; the inbox knows what was applied.
            logger.warning("consumer %s could not commit offsets: %s", self._plan.name, error)

    async def _one(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """Handle one record or send it on. Raises _Held when it must wait."""
        self._attempt_began = time.monotonic()
        try:
            handled = await self._plan.handle(self._plan.name, self._plan.read(record.value or b""))
            self._count(**{handled: 1})
        except (StorageUnavailable, Busy) as error:
            raise _Held from error
        except Exception as error:  # noqa: BLE001 (any failure of an effect is the record's, and is kept with it)
            await self._send_on(record, after_failure(record, error, datetime.now(UTC)), error)
        finally:
            self._attempt_began = float("inf")

    async def _send_on(self, record: "ConsumerRecord[bytes, bytes]", outgoing: Outgoing, error: Exception) -> None:
        topic = self._plan.dlq_topic if outgoing.level is None else self._plan.retry_topic
        logger.log(
            logging.ERROR if outgoing.level is None else logging.WARNING,
            "consumer %s: %s failed and goes to %s: %s: %s",
            self._plan.name,
            origin_of(record),
            topic,
            type(error).__name__,
            error,
        )
        try:
            sent = await self._send(topic, outgoing)
        except BROKER_ERRORS as broken:
            raise _Held from broken
        self._count(dead=1) if sent.level is None else self._count(retried=1)

    async def _send(self, topic: str, outgoing: Outgoing) -> Outgoing:
        """What the broker has acknowledged: of a record that is too large for it, only what is known of the record."""
        try:
            partition = 0 if outgoing.level is None else await self._partition(topic, outgoing.level)
            await self._acknowledged(topic, outgoing, partition)
        except TOO_LARGE as error:
            logger.error("consumer %s: it is too large, its value is left out: %s", self._plan.name, error)
            outgoing = cut_down(outgoing)
            await self._acknowledged(self._plan.dlq_topic, outgoing, 0)
        return outgoing

    async def _acknowledged(self, topic: str, outgoing: Outgoing, partition: int) -> None:
        await self._producer.send_and_wait(
            topic, outgoing.value, key=outgoing.key, partition=partition, headers=outgoing.headers
        )

    async def _partition(self, topic: str, level: int) -> int:
        """The level's partition; levels share one where somebody made the topic with fewer."""
        partitions = sorted(await self._producer.partitions_for(topic))
        return int(partitions[level % len(partitions)])


class _FromTheBeginning(ConsumerRebalanceListener):  # type: ignore[misc]
    """Read assigned partitions from the beginning, whatever offsets are stored: they are of an earlier life.

    A member that did not notice the loss yet may have stored its old position on the new broker.
    """

    def __init__(self, consumer: Callable[[], AIOKafkaConsumer | None]) -> None:
        self._consumer = consumer
        self._seen: set[TopicPartition] = set()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing to give up: offsets are committed with each batch."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        consumer, fresh = self._consumer(), assigned - self._seen
        if consumer is None or not fresh:
            return
        self._seen |= fresh
        begins = await consumer.beginning_offsets(list(fresh))
        for place, offset in begins.items():
            consumer.seek(place, offset)
        await consumer.commit(begins)


async def _lag(consumer: AIOKafkaConsumer) -> int:
    """Records between the positions and the ends of the partitions as of the last fetches."""
    lag = 0
    for place in consumer.assignment():
        with anyio.move_on_after(0.5):
            lag += max(0, (consumer.highwater(place) or 0) - await consumer.position(place))
    return lag


def _as_it_is(records: Any) -> KafkaAckableMessage:
    """The batch untouched: the library's own parser would choke on headers that are not UTF-8."""
    return KafkaAckableMessage(raw_message=records, body=b"", consumer=None)


def _undecoded(message: Any) -> Any:
    """The message itself is what the handler gets; each record is decoded, and judged, on its own."""
    return message
