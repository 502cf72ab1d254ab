"""Waiting for what other tasks and other processes bring about."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

Found = TypeVar("Found")
PATIENCE = 30.0


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Come back as soon as the condition is true. Raises TimeoutError after so many seconds."""
    with anyio.fail_after(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def until_answered(condition: Callable[[], Awaitable[object]], seconds: float = PATIENCE) -> None:
    """The same for a condition that somebody else must be asked for, and not too often."""
    with anyio.fail_after(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


def eventually(found: Callable[[], Found], what: str, seconds: float = PATIENCE) -> Found:
    """The first truthy answer of `found`, asked by a test without an event loop."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.03)
    return answer
