"""How workers, and the threads that work for them, share the cores: everybody else is left alone."""

import asyncio
import logging
import os
import subprocess
import sys
import threading

import pytest

from taskforge import tuning
from taskforge.tuning import NICENESS, let_threads_stand_back, schedule_in_batches

PROBE = """
import os, threading
from taskforge.tuning import schedule_in_batches
before = os.sched_getscheduler(0)
schedule_in_batches()
found = []
thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
thread.start(); thread.join()
print(before == os.SCHED_OTHER, os.sched_getscheduler(0) == found[0] == os.SCHED_BATCH)
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no SCHED_BATCH")
def test_threads_started_later_inherit_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_system_that_forbids_it_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(os, "sched_setscheduler", forbidden, raising=False)
    monkeypatch.setattr(os, "sched_param", lambda _: None, raising=False)
    monkeypatch.setattr(os, "SCHED_BATCH", 3, raising=False)
    with caplog.at_level(logging.DEBUG, "taskforge.tuning"):
        schedule_in_batches()
    assert "keeps the default scheduling" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux only")
def test_what_the_loop_hands_to_threads_stands_back_behind_the_loop() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def both() -> tuple[int, int]:
        let_threads_stand_back(asyncio.get_running_loop())
        return niceness(), await asyncio.to_thread(niceness)

    before = niceness()
    assert asyncio.run(both()) == (before, NICENESS)


GIVING_BACK = """
import asyncio
from taskforge.tuning import LEAST_FREED, give_memory_back

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

def boards():
    # Freed in the midst of what stays, as answers are: the C library gives nothing of that back by itself.
    kept, gone = [], []
    for _ in range(3_000):
        gone.append(b"x" * 30_000)
        kept.append(b"x" * 600)
    return kept

before = resident()
kept = boards()
had = resident()
asyncio.run(give_memory_back(LEAST_FREED - 1))
still = resident()
asyncio.run(give_memory_back(LEAST_FREED))
print(round(had - before), round(had - still), round(had - resident()))
"""


@pytest.mark.skipif(tuning._malloc_trim is None, reason="this C library gives back by itself, or never")
def test_what_was_let_go_goes_back_to_the_kernel_if_it_is_much() -> None:
    done = subprocess.run([sys.executable, "-c", GIVING_BACK], capture_output=True, text=True, check=True)
    grown, unasked, given_back = map(int, done.stdout.split())
    assert grown > 60
    assert unasked < 5
    assert given_back > 20
