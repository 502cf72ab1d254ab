"""Workers under test, made by the composition root as the command makes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.consumers.runner import ConsumerRunner, ConsumerStatistics
from streams.relay.relay import Relay, RelayStatistics
from taskforge.parts.names import PARTS
from taskforge.parts.process import Process
from taskforge.settings import Settings
from taskforge.wiring import running
from tests.support.waiting import until

__all__ = ["consumer_of", "handled", "relay_of", "working"]


@asynccontextmanager
async def working(settings: Settings, *parts: str) -> AsyncIterator[Process]:
    """A worker with these parts (all there are), ready and later stopped in order."""
    async with running(settings, frozenset(parts or PARTS)) as process:
        await until(lambda: all(part.ready for part in process.parts))
        yield process


def consumer_of(process: Process, name: str = "notifications") -> ConsumerStatistics:
    part = next(part for part in process.parts if part.name == name)
    assert isinstance(part, ConsumerRunner)
    return part.statistics()


def relay_of(process: Process) -> RelayStatistics:
    part = next(part for part in process.parts if part.name == "relay")
    assert isinstance(part, Relay)
    return part.statistics()


def handled(process: Process) -> int:
    """Events that the notifications consumer is done with."""
    statistics = consumer_of(process)
    return statistics.applied + statistics.passed + statistics.dead
