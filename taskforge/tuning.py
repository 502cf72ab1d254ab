"""How a worker process asks Python and the kernel to treat it."""

import asyncio
import ctypes
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

log = logging.getLogger(__name__)

# A collection costs up to 0.5 µs per object that it looks through: the young ones 2 ms, the middle generation, at most
# `YOUNG * (MIDDLE + 1)` objects, 8 ms. With 20 times 50,000 it was 370 ms while boards were loaded.
YOUNG: Final = 5_000
MIDDLE: Final = 2
OLD: Final = 20_000
"""A full collection takes 0.4 s with 500,000 tasks in memory; none comes within another 200 million allocations."""

LEAST_FREED: Final = 8 * 1024 * 1024
"""Bytes. Where less was let go, the next team will need it."""

THREADS: Final = 8
NICENESS: Final = 5
"""A quarter of the core beside the loop, all of it beside nobody. With less, whoever waits for the interpreter would
wait long for a thread that has it and not the core."""


def tune_collector() -> None:
    """Call once after start: what lives now is never looked through again, and old objects rarely are.

    Boards are made of immutable Structs that hold no cycles and are not tracked (`gc=False`); a full collection with
    CPython's own thresholds stopped a worker with 1,000 tasks for 30 to 140 ms, ten times its median answer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def let_threads_stand_back(loop: asyncio.AbstractEventLoop) -> None:
    """Call once after start: what the loop hands to threads (compressing, hashing) has the core when the loop does not.

    Such work lets go of the interpreter, not of the core: where there are few, a board that was compressed took as many
    milliseconds from all requests. On Linux a thread has a niceness of its own (`man 2 setpriority`).
    """
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "background", _stand_back))


def _stand_back() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _find_malloc_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # Not on Linux, or another C library than GNU's.
        return None
    return found


_malloc_trim: Final = _find_malloc_trim()


async def give_memory_back(freed: int) -> None:
    """After so many bytes were let go: have the C library give the kernel the pages that nothing is on any more.

    It keeps them otherwise, for whoever comes next. A process that had a board of 20,000 tasks in memory fell from 115
    MB to 113; with this to 75, of 53 without the board. That takes 2 to 7 ms, in a thread that lets go of the
    interpreter.
    """
    if freed >= LEAST_FREED and _malloc_trim is not None:
        await asyncio.to_thread(_malloc_trim, 0)


def schedule_in_batches() -> None:
    """Call before threads are started, which inherit it: none of ours should take the core from another as it wakes.

    After a group commit the loop answers many requests in a row; under the default policy the thread that sends them
    interrupts it for each. Where threads share a core, PATCH took 10 to 15 % less time (Linux: `man 7 sched`), though a
    trace on Linux 6.18 still shows many such interruptions.
    """
    if not hasattr(os, "SCHED_BATCH"):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except PermissionError as error:
        log.debug("this process keeps the default scheduling: %s", error)
