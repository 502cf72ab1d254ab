"""The relay against a bare producer of the same messages, and how long a commit takes to its topic."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import anyio
import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.in_process import InProcess, Target, open_system
from benchmarks.measure import Goal, Result, Sample, in_turn, percentile
from benchmarks.stack import Stack, free_port, open_stack
from core.codec import parse_event_id
from core.task import TaskPatch
from db.pool import open_pools
from db.valkey import open_valkey
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.topics import TASK_EVENTS, TASKS
from streams.relay.relay import Relay
from streams.relay.replay import rewind
from streams.relay.wakeups import listen
from streams.settings import KafkaSettings
from taskforge.devstack.kafka import Kafka

__all__ = ["run"]

TEAMS: Final = 32
SHARE: Final = 0.5
P99_MS: Final = 50.0
RATE: Final = 500
"""Events a second, while the time from the commit to the topic is measured."""
ROUND: Final = 8
"""Changes of each task, which make what is relayed."""

Message = tuple[str, bytes, bytes | None, list[tuple[str, bytes]]]
"""Topic, key, value, headers."""


async def run(*, quick: bool) -> Result:
    """Nothing is pinned: relay, Postgres and broker share the cores with the producer that it is compared with."""
    result = Result(
        "relay",
        note="The relay reads the journal, asserts contiguity, publishes with acks=all and steps its cursors; the bare "
        "producer sends the records that it has published, held in memory, in batches as large, on the same loop.",
    )
    async with open_stack(core=None) as stack, open_system(stack) as system, _broker(stack) as kafka:  # noqa: SIM117
        async with _relaying(stack, kafka) as (relay, monitor):
            teams = [await system.team(number) for number in range(TEAMS)]
            await _write(system, teams, rounds=1 if quick else ROUND)
            await _until_published(stack)
            messages = await _messages(kafka)

            async def ours() -> Sample:
                return await _relayed(stack, kafka, relay, await monitor.known())

            async def bare() -> Sample:
                return await _produced(kafka, messages)

            found = await in_turn(2 if quick else 5, {"relay": ours, "bare producer": bare})
            paced = await _paced(system, [target for team in teams for target in team], kafka, 3.0 if quick else 20.0)
    result.numbers |= {**found, "records": len(messages), f"{RATE} events/s": paced}
    share = found["relay"].rate / found["bare producer"].rate
    result.goals.append(Goal("relay: share of a bare producer", share, SHARE))
    result.goals.append(Goal("commit to topic, p99 in ms", paced.p99_ms, P99_MS, at_least=False))
    return result


@asynccontextmanager
async def _broker(stack: Stack) -> AsyncIterator[KafkaSettings]:
    """The embedded broker, or the one that `BENCHMARK_KAFKA` names: Apache Kafka, with an idempotent relay."""
    if given := os.environ.get("BENCHMARK_KAFKA"):
        yield KafkaSettings(bootstrap_servers=given, idempotent=True)
        return
    broker = Kafka(stack.directory / "kafka", stack.directory / "kafka.log", free_port())
    await broker.start()
    try:
        yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
    finally:
        await broker.stop()


@asynccontextmanager
async def _relaying(stack: Stack, kafka: KafkaSettings) -> AsyncIterator[tuple[Relay, BrokerMonitor]]:
    """A relay as a worker runs it, with its wake-ups."""
    async with open_pools(stack.settings.database) as pools, open_valkey(stack.settings.valkey.url.reveal()) as valkey:
        monitor = BrokerMonitor(kafka)
        relay = Relay(pools.worker, kafka, monitor, pools.writer)
        async with anyio.create_task_group() as group:
            await group.start(monitor.run)
            await group.start(relay.run)
            group.start_soon(listen, valkey, relay.wake, relay.sweep_soon)
            yield relay, monitor
            relay.stop()
            group.cancel_scope.cancel()


async def _write(system: InProcess, teams: Sequence[Sequence[Target]], rounds: int) -> None:
    async def change(team: Sequence[Target]) -> None:
        for number in range(rounds):
            for target in team:
                await system.change(target, TaskPatch(title=f"A title of some length, as people write them, {number}"))

    await asyncio.gather(*map(change, teams))


async def _until_published(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.superuser_url)
    try:
        with anyio.fail_after(120):
            while await connection.fetchval(_BEHIND):  # noqa: ASYNC110 (a remote state)
                await anyio.sleep(0.005)
    finally:
        await connection.close()


async def _messages(kafka: KafkaSettings) -> list[Message]:
    """What the relay has published, in the order of the partitions."""
    consumer = AIOKafkaConsumer(
        TASK_EVENTS, TASKS, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    found: list[Message] = []
    await consumer.start()
    try:
        silent = 0
        while silent < 3:
            records = [one for some in (await consumer.getmany(timeout_ms=300)).values() for one in some]
            silent = 0 if records else silent + 1
            found += [(one.topic, one.key or b"", one.value, list(one.headers)) for one in records]
    finally:
        await consumer.stop()
    return found


async def _relayed(stack: Stack, kafka: KafkaSettings, relay: Relay, incarnation: str) -> Sample:
    """Everything again; records a second of both topics, from the end of the first round on.

    What goes before is the price of setting a relay back, which looks into the topic then, and not of relaying.
    """
    first = sent_by(relay)
    async with open_pools(stack.settings.database) as pools:
        await rewind(pools.worker, kafka, incarnation, None, 0)
    relay.sweep_soon()
    while sent_by(relay) == first:  # noqa: ASYNC110 (another task's counter)
        await anyio.sleep(0.001)
    begun, first = time.perf_counter(), sent_by(relay)
    await _until_published(stack)
    return Sample(rate=(sent_by(relay) - first) / (time.perf_counter() - begun), p50_ms=0.0, p99_ms=0.0)


def sent_by(relay: Relay) -> int:
    """Records so far."""
    statistics = relay.statistics()
    return statistics.published + statistics.tasks


async def _produced(kafka: KafkaSettings, messages: Sequence[Message]) -> Sample:
    """The same records by a producer that does nothing else, as fast as it can with as large batches."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, acks="all", max_batch_size=512 * 1024, linger_ms=0
    )
    await producer.start()
    try:
        begun = time.perf_counter()
        sent = [await producer.send(topic, value, key=key, headers=headers) for topic, key, value, headers in messages]
        await asyncio.gather(*sent)
        seconds = time.perf_counter() - begun
    finally:
        await producer.stop()
    return Sample(rate=len(messages) / seconds, p50_ms=0.0, p99_ms=0.0)


async def _paced(system: InProcess, targets: Sequence[Target], kafka: KafkaSettings, seconds: float) -> Sample:
    """Changes at a steady rate; ms from the time at which a change was acknowledged to its arrival at a consumer."""
    committed: dict[tuple[UUID, int], float] = {}
    arrived: dict[tuple[UUID, int], float] = {}
    # The embedded broker lets one who asks for records wait beside those that have come meanwhile.
    consumer = AIOKafkaConsumer(TASK_EVENTS, bootstrap_servers=kafka.bootstrap_servers, fetch_max_wait_ms=5)
    await consumer.start()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_listen, consumer, arrived)
            await _changes(system, targets, seconds, committed)
            with anyio.move_on_after(10):
                while len(arrived.keys() & committed.keys()) < len(committed):  # noqa: ASYNC110 (another task's)
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
    finally:
        await consumer.stop()
    missing = committed.keys() - arrived.keys()
    latencies = [1000 * (arrived[key] - at) for key, at in committed.items() if key in arrived]
    return Sample(
        rate=len(committed) / seconds,
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        errors=len(missing),
        first_error="an event did not arrive within 10 s" if missing else "",
    )


async def _listen(consumer: AIOKafkaConsumer, arrived: dict[tuple[UUID, int], float]) -> None:
    async for record in consumer:
        team_id, _, seq = parse_event_id(dict(record.headers)["event_id"].decode())
        arrived.setdefault((team_id, seq), time.perf_counter())


async def _changes(
    system: InProcess, targets: Sequence[Target], seconds: float, committed: dict[tuple[UUID, int], float]
) -> None:
    """One change every 1 / `RATE` s, whether or not the last ones have been acknowledged."""

    async def change(number: int) -> None:
        target = targets[number % len(targets)]
        answer = await system.change(target, TaskPatch(title=f"At a steady pace {number} {begun}"))
        committed[target[0], answer.seq] = time.perf_counter()

    begun = time.perf_counter()
    async with anyio.create_task_group() as group:
        for number in range(int(RATE * seconds)):
            await anyio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
            group.start_soon(change, number)


_BEHIND: Final = """
select exists (
    select from teams t left join relay_cursors c on c.team_id = t.id where coalesce(c.published_seq, 0) < t.seq
)
"""
