"""Stopping a service in the middle of whatever it does, as a full disk or a sleeping host would."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.waiting import eventually


@contextmanager
def frozen(pid: int, *, below: bool = True) -> Iterator[None]:
    """SIGSTOP to the process, and to all of its descendants unless they are left out, until the block ends."""
    stopped = family(pid) if below else [pid]
    try:
        for one in stopped:
            stop(one)
        yield
    finally:
        for one in stopped:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def stop(pid: int) -> None:
    """SIGSTOP, and wait until none of its threads runs any more: a busy machine lets them go on for a while."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: set(states(pid)) <= {"T", "t", "Z", "X"}, f"process {pid} has stopped")


def states(pid: int) -> list[str]:
    """What each thread of the process is doing, in the letters of proc(5)."""
    found = []
    for status in Path(f"/proc/{pid}/task").glob("[0-9]*/stat"):
        with suppress(OSError):
            found.append(status.read_text().rpartition(")")[2].split()[0])
    return found


def family(pid: int) -> list[int]:
    """The process first, then its descendants."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(status.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found
