"""`taskforge worker`: relay and consumers, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from functools import partial

import anyio

from api.health import Health
from api.metrics import Metrics
from core.errors import StorageUnavailable
from streams.kafka.broker import Backoff, calm_logs
from taskforge.last_resort import end_within
from taskforge.operators import listening
from taskforge.ops.page import OpsPage
from taskforge.parts.draining import PROCESS_SECONDS
from taskforge.parts.format_watch import FormatWatch
from taskforge.parts.names import PARTS
from taskforge.parts.probes import POSTGRES_NOT_REACHED
from taskforge.settings import Settings
from taskforge.wiring import running

__all__ = ["run", "work"]

logger = logging.getLogger(__name__)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the chosen parts (default: all there are); returns the exit code."""
    asyncio.run(work(settings, frozenset(args.only or PARTS), when_asked=partial(end_within, PROCESS_SECONDS)))
    return 0


async def work(settings: Settings, parts: Set[str], *, when_asked: Callable[[], None] = lambda: None) -> None:
    """Run these parts until SIGTERM or SIGINT, then drain; a second signal ends at once. The first calls `when_asked`.

    Database, broker and Valkey may all be down at the start and at any time; the operators' listener answers from the
    first moment to the last. Raises UnsafeServer for a database that may lose what it acknowledged, WrongFormat for one
    that this program is too old for, also once it has become so, OSError when the listener's port is taken.
    """
    health, metrics, stopping = Health([POSTGRES_NOT_REACHED]), Metrics(), anyio.Event()
    page = OpsPage(settings)
    with anyio.CancelScope() as scope, _heeding_signals(stopping, scope, when_asked), calm_logs():
        async with listening(settings.ops.host, settings.ops.port, health, metrics, page=page) as port:
            logger.info("operators' HTTP on %s:%d", settings.ops.host, port)
            backoff = Backoff()
            while not stopping.is_set():
                try:
                    async with running(settings, parts, health=health, metrics=metrics) as process:
                        logger.info("the worker runs: %s", ", ".join(sorted(parts)))
                        with page.showing(process):
                            await _until_over(stopping, process.format)
                    if process.format.error is not None:
                        raise process.format.error
                except StorageUnavailable as error:
                    logger.warning("the worker waits for the database: %s", error)
                    with anyio.move_on_after(backoff.next()):
                        await stopping.wait()
    logger.info("the worker has ended")


async def _until_over(stopping: anyio.Event, watch: FormatWatch) -> None:
    """Until somebody stops the worker, or it must not run any more."""
    async with anyio.create_task_group() as group:

        async def stop_when_outdated() -> None:
            await watch.outdated.wait()
            group.cancel_scope.cancel()

        group.start_soon(stop_when_outdated)
        await stopping.wait()
        group.cancel_scope.cancel()


@contextmanager
def _heeding_signals(stopping: anyio.Event, scope: anyio.CancelScope, when_asked: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def heed(name: str) -> None:
        if stopping.is_set():
            logger.warning("%s once more: ending at once", name)
            scope.cancel()
        else:
            when_asked()
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
