"""How a worker process asks Python and the kernel to treat it."""

import asyncio
import gc
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

log = logging.getLogger(__name__)

# A collection costs up to 0.5 µs per object that it looks through: the young ones 2 ms, the middle generation, at most
# `YOUNG * (MIDDLE + 1)` objects, 8 ms. With 20 times 50,000 it was 370 ms while boards were loaded.
YOUNG: Final = 5_000
MIDDLE: Final = 2
OLD: Final = 20_000
"""A full collection takes 0.4 s with 500,000 tasks in memory; none comes within another 200 million allocations."""

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
