"""The folders of services under test: in memory where it is large enough, and never left behind for long."""

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import directories
from tests.support.directories import PREFIX, services_root


def left(above: Path, name: str, *, age: float = 3600.0) -> Path:
    """The folder of a run, last changed so many seconds ago."""
    root = above / f"{PREFIX}{name}"
    root.mkdir()
    (root / "lock").touch()
    os.utime(root, (time.time() - age,) * 2)
    return root


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "MEMORY", tmp_path)
    monkeypatch.setattr(directories, "ENOUGH", 0)
    killed, running, starting = left(tmp_path, "killed"), left(tmp_path, "running"), left(tmp_path, "new", age=0.0)
    with (running / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with services_root() as root:
            assert root.parent == tmp_path
            assert not killed.exists()
            assert running.exists()
            assert starting.exists()
    assert not root.exists()


def test_a_small_file_system_in_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's has 64 MB."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64 * 2**20))
    with services_root() as root:
        assert root.parent == Path(tempfile.gettempdir())
