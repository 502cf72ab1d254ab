"""Long work on the event loop, in slices: a generator yields wherever others should have their turn."""

import asyncio
from collections.abc import Generator
from typing import TypeVar

from core.loading import PAUSE_SECONDS

__all__ = ["at_once", "first_slice", "in_slices"]

T = TypeVar("T")


async def in_slices(work: Generator[None, None, T]) -> T:
    """Run the work to its result, with a pause, in which the loop may be idle, after each of its slices."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(PAUSE_SECONDS)


def at_once(work: Generator[None, None, T]) -> T:
    """Run the work to its result without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def first_slice(work: Generator[None, None, T]) -> T | None:
    """The result of the work if its first slice is all of it, else None."""
    try:
        next(work)
    except StopIteration as end:
        result: T = end.value
        return result
    return None
