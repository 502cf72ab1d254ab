"""Files and folders of the data directory are for their owner alone, whatever the umask says."""

import os
from pathlib import Path
from typing import BinaryIO, Literal

__all__ = ["FILE", "FOLDER", "close_to_others", "let_pass", "make_folder", "opened"]

FILE, FOLDER = 0o600, 0o700


def opened(path: Path, mode: Literal["ab", "wb"]) -> BinaryIO:
    """The file, open for writing; private when it is made by this."""
    return open(path, mode, opener=_opener)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, FILE)


def make_folder(path: Path) -> None:
    """A private folder, with those above it; one that is there keeps what is in it."""
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)


def let_pass(directory: Path) -> None:
    """Let another user of the machine reach what is its own in the folder; it cannot list or read the rest."""
    directory.chmod(FOLDER | 0o011)


def close_to_others(directory: Path) -> None:
    """Take from others what an earlier release left open: the folder, its own files and its logs."""
    if directory.stat().st_mode & 0o077:
        directory.chmod(FOLDER)
    for path in (*directory.glob("*"), *directory.glob("logs/*"), *directory.glob("valkey/*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o077:
            path.chmod(FILE | path.stat().st_mode & 0o100)
