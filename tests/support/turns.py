"""How much happens between two turns of the event loop: a measure of stalls that no slow machine can spoil."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def most_in_one_turn(work: Awaitable[Any], count: Callable[[], int]) -> int:
    """By how much the count grows at most between two turns of the event loop, until the work is done."""
    task = asyncio.ensure_future(work)
    most, before = 0, count()
    while not task.done():
        await asyncio.sleep(0)
        most, before = max(most, count() - before), count()
    await task
    return most
