"""Folders for what a worker needs on the disk for a moment: none of them stays when the worker is killed.

What is written there is the content of a team, and nothing that forgets on purpose (redaction, erasure, off-boarding)
looks there. So a folder lives as long as its process: that holds a lock on it (`flock`), which the kernel lets go of
with the process however it ends, and `sweep` deletes every folder that nobody holds. Numbers of processes would say
less: they come again, and another TaskForge on the same machine may run in a namespace of its own.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["scratch_folder", "sweep"]

log = logging.getLogger(__name__)

PREFIX: Final = "taskforge-scratch-"


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A new and empty folder of this user's alone (mode 0700), which goes with the block or with the process."""
    folder, lock = _locked(purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, onerror=_stays)
        os.close(lock)


def sweep() -> int:
    """Delete the folders whose processes are gone; how many there were. It touches none that is in use.

    Folders of other users are left to them.
    """
    return sum(_swept(folder) for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def _locked(purpose: str) -> tuple[Path, int]:
    """A new folder and the open file that holds it. One that a sweep has taken before it was held is made anew."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
        lock = _hold(folder)
        if lock is not None:
            return folder, lock


def _swept(folder: Path) -> bool:
    lock = _hold(folder)
    if lock is None:
        return False
    try:
        shutil.rmtree(folder, onerror=_stays)
        return not folder.exists()
    finally:
        os.close(lock)


def _hold(folder: Path) -> int | None:
    """The open file that holds the folder; None where another process does, it is another user's, or it is gone."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it before may have deleted it meanwhile.
        if os.fstat(lock).st_uid == os.geteuid() and os.path.samestat(os.fstat(lock), os.lstat(folder)):
            return lock
    except OSError as error:
        log.debug("the folder %s is not taken: %s", folder, error)
    os.close(lock)
    return None


def _stays(_: object, path: str, error: tuple[type[BaseException], BaseException, object]) -> None:
    """What cannot be deleted now is deleted by the next sweep; a program that was just ended may still write."""
    log.warning("%s stays until the next sweep: %s", path, error[1])
