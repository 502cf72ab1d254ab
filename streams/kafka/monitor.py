"""Watches the broker for the one thing a client library cannot tell: that it came back without its topics.

An in-memory broker forgets everything when it stops, and offsets begin at zero again; a topic may be deleted by hand.
The monitor names each life of the broker (its *incarnation*, kept in the relays' state), makes missing topics, and lets
relay and consumers wait for a change of incarnation.
"""

import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Final

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec import Struct

from streams.kafka import relay_state, topic_configs, topics
from streams.kafka.broker import Backoff, BrokerUnavailable, administrating, broker_errors, producing, reading
from streams.kafka.relay_state import BROKER, RelayState
from streams.kafka.topics import RELAY_STATE
from streams.settings import KafkaSettings

__all__ = ["BrokerMonitor", "MonitorStatistics"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 8.0
FROZEN_SECONDS: Final = 4.0
"""A look takes milliseconds: a broker that has let none end for this long does not answer, connected or not."""
DELETE_SECONDS: Final = 10.0


class MonitorStatistics(Struct, frozen=True):
    """`reachable` by the last look, unless the next one is long overdue; `incarnation` is empty before the first;
    `losses` counts lost topics, `differing` what is other about those that stand than the settings say."""

    reachable: bool
    incarnation: str
    losses: int
    differing: int = 0


class _Clients(Struct, frozen=True):
    admin: AIOKafkaAdminClient
    consumer: AIOKafkaConsumer
    producer: AIOKafkaProducer


class BrokerMonitor:
    """One per process. `consumers` names those whose topics for retries and dead letters it makes.

    `publishing` is held while one writes to the topics made from the journal.
    """

    def __init__(self, settings: KafkaSettings, consumers: Iterable[str] = ()) -> None:
        self._settings = settings
        self._plans = topics.plans(settings, consumers)
        self._condition = anyio.Condition()
        self._poke = anyio.Event()
        self._incarnation = ""
        self._doubted = False
        self._laying_out = False
        self._lost = ""
        self._reachable = False
        self._losses = self._differing = 0
        self._begun = self._finished = 0
        self._looked = float("-inf")
        self._state: RelayState = {}
        self.publishing = anyio.Lock()

    @property
    def state(self) -> RelayState:
        """The relays' state as of the last look."""
        return self._state

    def statistics(self) -> MonitorStatistics:
        frozen = not self._laying_out and time.monotonic() - self._looked > FROZEN_SECONDS
        return MonitorStatistics(self._reachable and not frozen, self._incarnation, self._losses, self._differing)

    def is_current(self, incarnation: str) -> bool:
        """Whether the broker still lives the life called `incarnation`, as far as anybody knows."""
        return incarnation == self._incarnation and not (self._doubted or self._laying_out)

    def lives(self, incarnation: str) -> bool:
        """Whether no other life of the broker has been seen since; unlike `is_current`, doubts do not count."""
        return incarnation == self._incarnation

    def doubt(self) -> None:
        """Something failed or looked odd: nobody may rely on the incarnation before the next look, which is now."""
        self._doubted = True
        self._poke.set()

    def lost(self, incarnation: str) -> None:
        """In this life the broker has lost records of a topic made from the journal: its next look begins another."""
        self._lost = incarnation
        self.doubt()

    async def known(self) -> str:
        """Wait until the broker was reached and has all topics; returns its incarnation."""
        async with self._condition:
            while not (self._incarnation and self.is_current(self._incarnation)):
                await self._condition.wait()
            return self._incarnation

    async def known_unless(self, stopping: anyio.Event) -> str:
        """The same; empty as soon as `stopping` is set instead."""
        incarnation = ""

        async def wait_for_broker() -> None:
            nonlocal incarnation
            incarnation = await self.known()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_broker)
            await stopping.wait()
            group.cancel_scope.cancel()
        return incarnation

    async def changed(self, incarnation: str) -> None:
        """Wait until the broker lives another life than `incarnation`."""
        async with self._condition:
            while self._incarnation == incarnation:
                await self._condition.wait()

    async def look(self) -> RelayState:
        """The state by a look that begins now; waits for the broker if need be."""
        wanted = self._begun + 1
        self._poke.set()
        async with self._condition:
            while self._finished < wanted:
                await self._condition.wait()
            return self._state

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look every second until cancelled; a broker that is down is waited for."""
        backoff = Backoff(last=1.0)
        task_status.started()
        while True:
            try:
                async with (
                    administrating(self._settings) as admin,
                    reading(self._settings) as consumer,
                    producing(self._settings) as producer,
                ):
                    await self._look_again_and_again(_Clients(admin, consumer, producer), backoff)
            except BrokerUnavailable as error:
                if self._reachable:
                    logger.warning("the broker cannot be reached, waiting for it: %s", error)
                self._reachable = False
                await backoff.wait()

    async def _look_again_and_again(self, clients: _Clients, backoff: Backoff) -> None:
        settled = False
        while True:
            self._poke = anyio.Event()
            with broker_errors(), anyio.fail_after(ANSWER_SECONDS + DELETE_SECONDS):
                await self._look(clients)
            backoff.reset()
            if not settled:
                with broker_errors(), anyio.fail_after(ANSWER_SECONDS):
                    await self._settle(clients.admin)
                settled = True
            with anyio.move_on_after(LOOK_SECONDS):
                await self._poke.wait()

    async def _settle(self, admin: AIOKafkaAdminClient) -> None:
        """Once for each connection, make topics that were there what the settings say, as far as that goes."""
        self._differing = len(await topic_configs.settle(admin, self._plans, self._settings.replicas))

    async def _look(self, clients: _Clients) -> None:
        self._begun += 1
        doubted_before = self._doubted
        counts = await topics.partition_counts(clients.admin)
        state = await relay_state.read(clients.consumer) if RELAY_STATE in counts else {}
        lost = BROKER not in state or state[BROKER].decode() == self._lost
        if lost or any(plan.name not in counts for plan in self._plans if plan.from_journal):
            async with self.publishing:
                # Until the new life has its name, the old one must not pass for it: what a relay of the old life
                # published into the topics made anew would stand there before their first event.
                self._laying_out = True
                await self._lay_out(clients, state.get(BROKER, b""))
            state = await relay_state.read(clients.consumer)
        else:
            await self._create_missing(clients, counts)
        await self._conclude(state, doubted_before)

    async def _conclude(self, state: RelayState, doubted_before: bool) -> None:
        """Let everybody who waits for a look know what this one has found."""
        incarnation = state[BROKER].decode()
        async with self._condition:
            if self._incarnation and incarnation != self._incarnation:
                self._losses += 1
                logger.warning("the broker lost its topics; they are written anew from the journal")
            if not self._reachable:
                logger.info("the broker is reached, incarnation %s", incarnation)
            self._state, self._incarnation, self._reachable = state, incarnation, True
            self._laying_out = False
            self._finished, self._looked = self._begun, time.monotonic()
            # A doubt that came up during this look is for the next one.
            self._doubted = self._doubted and not doubted_before
            self._condition.notify_all()

    async def _lay_out(self, clients: _Clients, before: bytes) -> None:
        """Topics as planned on a broker that lost one of them or, without a name `before`, everything; then a name.

        Where other processes do so at the same moment the first name counts, or each of them would take the next one
        for another loss. Whoever has deleted something must not be second: what others published meanwhile went too.
        """
        deleted = not before and await self._clear(clients)
        await self._create_missing(clients)
        name = secrets.token_hex(8).encode()
        await relay_state.write(clients.producer, BROKER, name, after=None if deleted else before)

    async def _clear(self, clients: _Clients) -> bool:
        """Throw away topics that were made by somebody's question for them, not by us; whether there were any.

        When we knew an earlier life of this broker, all that can be filled from the journal goes: whatever a relay had
        on its way when the broker came back is in there, out of turn. The topics are made before they are deleted,
        because the embedded broker takes records for a topic that does not exist, keeps their offsets and loses them.
        """
        if self._incarnation:
            await self._create_missing(clients)
            await self._delete(clients, {plan.name for plan in self._plans if plan.of_journal})
            return True
        counts = await topics.partition_counts(clients.admin)
        known = [(plan, counts[plan.name]) for plan in self._plans if plan.of_journal and plan.name in counts]
        odd = {plan.name: count for plan, count in known if count != plan.partitions}
        empty = {name for name, count in odd.items() if await _is_empty(clients.consumer, name, count)}
        await self._delete(clients, empty)
        return bool(empty)

    async def _create_missing(self, clients: _Clients, counts: Mapping[str, int] | None = None) -> None:
        counts = await topics.partition_counts(clients.admin) if counts is None else counts
        missing = [plan for plan in self._plans if plan.name not in counts]
        await topics.create(clients.admin, missing, self._settings.replicas)

    async def _delete(self, clients: _Clients, names: set[str]) -> None:
        if not names:
            return
        logger.info("deleting topics that are written anew: %s", ", ".join(sorted(names)))
        await clients.admin.delete_topics(sorted(names))
        with anyio.fail_after(DELETE_SECONDS):
            while names & (await topics.partition_counts(clients.admin)).keys():  # noqa: ASYNC110 (a remote state)
                await anyio.sleep(0.05)


async def _is_empty(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> bool:
    ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(partitions)])
    return not any(ends.values())
