"""Waiting for what other tasks bring about."""

import asyncio
from collections.abc import Callable

import anyio

PATIENCE = 30.0


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Come back as soon as the condition is true. Raises TimeoutError after so many seconds."""
    with anyio.fail_after(seconds):
        while not condition():
            await asyncio.sleep(0.005)
