"""Where the data of services under test lies: in memory, where there is enough of it.

There a sync costs nothing, while a service that is killed loses as little as on a disk: in both cases the kernel keeps
what was written.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")
ENOUGH = 3 * 2**30
"""Bytes: a process of tests takes up to one gigabyte (kept write-ahead log, databases, a second system)."""

PREFIX = "taskforge-test-"
FRESH = 60.0
"""Seconds in which a folder without a lock may be one that is just being made."""


@contextlib.contextmanager
def services_root() -> Iterator[Path]:
    """A folder for all services of this process of tests; what killed processes left is removed."""
    above = MEMORY if _enough() else Path(tempfile.gettempdir())
    _sweep(above)
    with open_directory(above) as root, _locked(root):
        yield root


@contextlib.contextmanager
def open_directory(above: Path) -> Iterator[Path]:
    """An empty folder that every user may enter: PostgreSQL may have to run as another one when we are root."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=above))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def in_memory(path: Path) -> bool:
    return path.is_relative_to(MEMORY)


def _enough() -> bool:
    """Both the file system's own limit and the machine's memory count (proc_meminfo(5), MemAvailable in kB)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        return os.access(MEMORY, os.W_OK) and min(shutil.disk_usage(MEMORY).free, 1024 * available) >= ENOUGH
    except OSError:  # No Linux.
        return False


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """The lock goes with the process, however it ends."""
    with (root / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep(above: Path) -> None:
    for left in above.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # Another user's, or swept by another process in this moment.
            if time.time() - left.stat().st_mtime > FRESH and _abandoned(left):
                shutil.rmtree(left)


def _abandoned(root: Path) -> bool:
    with (root / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
