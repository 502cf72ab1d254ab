"""What a worker writes for a moment is for nobody else, and is gone when the worker is."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from streams.children import run_child
from streams.scratch import scratch_folder, sweep
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

WORKER = """
import sys
from pathlib import Path
import anyio
from streams.children import run_child
from streams.scratch import scratch_folder

async def work() -> None:
    with scratch_folder("report") as folder:
        (folder / "report.json").write_text("a secret title")
        await run_child(Path(sys.argv[1]), str(folder), seconds=600)

anyio.run(work)
"""
ENDLESS = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1], "pid.new").write_text(str(os.getpid()))
Path(sys.argv[1], "pid.new").rename(Path(sys.argv[1], "pid"))
while True:
    time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, for this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@asynccontextmanager
async def worker(temporary: Path, program: Path) -> AsyncIterator[tuple[anyio.abc.Process, int]]:
    """A process with a folder and a child that never ends by itself, and the number of that child."""
    command = [sys.executable, "-c", WORKER, str(endless(program))]
    async with await anyio.open_process(command, env=os.environ | {"TMPDIR": str(temporary)}, stderr=None) as process:
        try:
            await until(lambda: bool(list(temporary.glob("*/pid"))))
            yield process, int((only(temporary) / "pid").read_text())
        finally:
            if process.returncode is None:
                process.kill()


def endless(program: Path) -> Path:
    program.write_text(ENDLESS)
    return program


def only(folder: Path) -> Path:
    """The one thing in it."""
    (found,) = folder.iterdir()
    return found


def is_alive(pid: int) -> bool:
    """A zombie, which nobody may have waited for yet, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's word about a dead parent is Linux's")
async def test_a_worker_that_is_killed_leaves_neither_its_folder_nor_its_child(temporary: Path, tmp_path: Path) -> None:
    async with worker(temporary, tmp_path / "endless.py") as (process, child):
        assert sweep() == 0
        folder = only(temporary)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "pid").stat().st_mode & 0o777 == 0o600
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        await until(lambda: not is_alive(child))
        assert (folder / "report.json").read_text() == "a secret title"
        assert sweep() == 1
        assert not folder.exists()


def test_a_folder_goes_with_its_block_and_a_sweep_leaves_it_alone_until_then(temporary: Path) -> None:
    with scratch_folder("picture") as one, scratch_folder("picture") as other:
        (one / "source").write_bytes(b"x")
        (one / "packages").mkdir()
        assert sweep() == 0
        assert sorted(temporary.iterdir()) == sorted((one, other))
    assert list(temporary.iterdir()) == []


def test_what_is_not_a_folder_of_ours_is_left_alone(temporary: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (temporary / "taskforge-scratch-link").symlink_to(elsewhere)
    (temporary / "taskforge-scratch-file").write_text("x")
    (temporary / "another").mkdir()
    assert sweep() == 0
    assert len(list(temporary.iterdir())) == 3
    assert elsewhere.exists()


async def test_a_child_whose_worker_is_gone_before_it_begins_does_nothing(tmp_path: Path) -> None:
    program, leash = tmp_path / "program.py", Path(sys.modules[run_child.__module__].__file__ or "").parent / "leash.py"
    program.write_text(f"open({str(tmp_path / 'written')!r}, 'w')")
    done = await anyio.run_process([sys.executable, "-I", str(leash), "1", str(program)], check=False)
    assert done.returncode == 4
    assert not (tmp_path / "written").exists()


async def test_a_child_has_its_arguments_its_exit_code_and_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKFORGE_KEYS", "a secret")
    program = tmp_path / "program.py"
    program.write_text("import os, sys; print(sys.argv[1:], 'TASKFORGE_KEYS' in os.environ); sys.exit(7)")
    done = await run_child(program, "a b", "c", seconds=30)
    assert (done.returncode, done.stdout) == (7, b"['a b', 'c'] False\n")
