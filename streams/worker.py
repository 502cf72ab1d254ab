"""The worker process: relay and consumers under one roof, waiting for what they need, drained together."""

import asyncio
import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec import Struct
from valkey.asyncio import Valkey

from core.errors import StorageUnavailable
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings, ValkeySettings
from db.valkey import open_valkey
from streams.consumers import notifications
from streams.consumers.runner import ConsumerRunner, ConsumerStatistics
from streams.housekeeping import keep_house
from streams.kafka.broker import Backoff, calm_logs
from streams.kafka.monitor import BrokerMonitor, MonitorStatistics
from streams.ops import WorkerCollector, serving
from streams.relay import wakeups
from streams.relay.outbox import OutboxRelay, OutboxStatistics
from streams.relay.relay import Relay, RelayStatistics
from streams.settings import KafkaSettings

__all__ = ["PARTS", "Worker", "WorkerStatistics", "run_worker"]

logger = logging.getLogger(__name__)

PARTS: Final = frozenset({"relay", "notifications"})
DRAIN_SECONDS: Final = 8.0


class WorkerStatistics(Struct, frozen=True):
    """Of everything that runs here; `relay` and `outbox` are None when they do not."""

    monitor: MonitorStatistics
    relay: RelayStatistics | None
    outbox: OutboxStatistics | None
    consumers: Mapping[str, ConsumerStatistics]


class Worker:
    """Relay and consumers of one process over open pools. `only` names the parts that run."""

    def __init__(
        self, pools: Pools, kafka: KafkaSettings, valkey: Valkey | None, *, only: frozenset[str] = PARTS
    ) -> None:
        if unknown := only - PARTS:
            raise ValueError(f"no such part of the worker: {', '.join(sorted(unknown))}")
        self._valkey = valkey
        self._pool = pools.worker
        self._monitor = BrokerMonitor(kafka, [notifications.NAME])
        self._relay = Relay(pools.worker, kafka, self._monitor) if "relay" in only else None
        self._outbox = OutboxRelay(pools.worker, kafka, self._monitor) if "relay" in only else None
        plans = [notifications.notifications(pools.worker)] if "notifications" in only else []
        self._consumers = {plan.name: ConsumerRunner(plan, kafka, self._monitor) for plan in plans}

    def statistics(self) -> WorkerStatistics:
        return WorkerStatistics(
            self._monitor.statistics(),
            None if self._relay is None else self._relay.statistics(),
            None if self._outbox is None else self._outbox.statistics(),
            {name: consumer.statistics() for name, consumer in self._consumers.items()},
        )

    def readiness(self) -> dict[str, bool]:
        """Each part, and whether it does its work now."""
        now = self.statistics()
        parts = {"broker": now.monitor.reachable}
        parts |= {name: consumer.ready for name, consumer in now.consumers.items()}
        if now.relay is not None and now.outbox is not None:
            parts |= {"relay": now.relay.ready, "outbox": now.outbox.ready}
        return parts

    def stop(self) -> None:
        """Drain: the relay finishes its round, consumers their batch; then `run` returns."""
        if self._relay is not None:
            self._relay.stop()
        if self._outbox is not None:
            self._outbox.stop()
        for consumer in self._consumers.values():
            consumer.stop()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run until stopped. Started means running, not that the broker has been reached; see `readiness`."""
        async with anyio.create_task_group() as background:
            await background.start(self._monitor.run)
            background.start_soon(keep_house, self._pool)
            if self._relay is not None and self._valkey is not None:
                background.start_soon(wakeups.listen, self._valkey, self._relay.wake, self._relay.sweep_soon)
            async with anyio.create_task_group() as parts:
                if self._relay is not None:
                    await parts.start(self._relay.run)
                if self._outbox is not None:
                    await parts.start(self._outbox.run)
                for consumer in self._consumers.values():
                    await parts.start(consumer.run)
                task_status.started()
            background.cancel_scope.cancel()


async def run_worker(
    database: DatabaseSettings,
    kafka: KafkaSettings,
    valkey: ValkeySettings,
    *,
    only: frozenset[str] = PARTS,
    ops: tuple[str, int] | None = None,
) -> None:
    """Run a worker until SIGTERM or SIGINT, then drain it; a second signal, or 8 s, ends it at once.

    Database, broker and Valkey may all be down at the start and at any time. `ops` is the host and port of the
    operators' HTTP. Raises UnsafeServer for a database that may lose what it acknowledged, OSError for a taken port.
    """
    stopping = anyio.Event()
    with anyio.CancelScope() as scope, _heeding_signals(stopping, scope), calm_logs():
        await _run(database, kafka, valkey, only=only, ops=ops, stopping=stopping)


async def _run(
    database: DatabaseSettings,
    kafka: KafkaSettings,
    valkey: ValkeySettings,
    *,
    only: frozenset[str],
    ops: tuple[str, int] | None,
    stopping: anyio.Event,
) -> None:
    backoff = Backoff()
    while not stopping.is_set():
        try:
            async with open_pools(database) as pools, open_valkey(valkey.url.reveal()) as client:
                await _work(Worker(pools, kafka, client, only=only), stopping, ops)
                return
        except StorageUnavailable as error:
            logger.warning("the worker waits for the database: %s", error)
            with anyio.move_on_after(backoff.next()):
                await stopping.wait()


async def _work(worker: Worker, stopping: anyio.Event, ops: tuple[str, int] | None) -> None:
    with _operators(worker, ops):
        async with anyio.create_task_group() as group:
            await group.start(worker.run)
            logger.info("the worker runs")
            await stopping.wait()
            worker.stop()
            group.cancel_scope.deadline = anyio.current_time() + DRAIN_SECONDS
    logger.info("the worker has ended")


@contextmanager
def _operators(worker: Worker, ops: tuple[str, int] | None) -> Iterator[None]:
    with ExitStack() as stack:
        if ops is not None:
            collector = WorkerCollector(
                lambda: worker.statistics().monitor,
                lambda: worker.statistics().relay,
                lambda: dict(worker.statistics().consumers),
            )
            port = stack.enter_context(serving(*ops, collector, worker.readiness))
            logger.info("operators' HTTP on %s:%d", ops[0], port)
        yield


@contextmanager
def _heeding_signals(stopping: anyio.Event, scope: anyio.CancelScope) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def heed(name: str) -> None:
        if stopping.is_set():
            logger.warning("%s once more: ending at once", name)
            scope.cancel()
        logger.info("%s: draining", name)
        stopping.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, heed, number.name)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
