"""A PostgreSQL data directory: made whole or not at all, recovered after a crash, never wiped."""

import asyncio
import contextlib
import datetime
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from taskforge.devstack.account import RunAs
from taskforge.devstack.child import Child, Launch
from taskforge.devstack.errors import DevstackError, ServiceFailed
from taskforge.devstack.service import tail

__all__ = ["Cluster"]

logger = logging.getLogger(__name__)

MAJOR = "18"
INITDB_SECONDS = 60.0
REMAINS_SECONDS = 10.0
SYNC_SECONDS = 0.02
STATUS_LINE = 8  # LOCK_FILE_LINE_PM_STATUS in PostgreSQL's utils/pidfile.h


class Cluster(msgspec.Struct, frozen=True):
    """`binaries`: PostgreSQL's bin folder. `path`: the data directory. `log`: where initdb and the server write."""

    binaries: Path
    path: Path
    log: Path

    @property
    def complete(self) -> bool:
        return (self.path / "PG_VERSION").is_file() and (self.path / "global" / "pg_control").is_file()

    async def ensure(self, run_as: RunAs, password: str) -> None:
        """Make the cluster when there is none.

        An existing directory that is no complete cluster is moved aside, with a log line. Raises `DevstackError`
        when the data was made by another major version.
        """
        self._drop_drafts()
        if self.complete:
            self._check_version()
            return
        self._set_aside()
        await self._initialise(run_as, password)

    def _check_version(self) -> None:
        version = (self.path / "PG_VERSION").read_text().strip()
        if version != MAJOR:
            raise DevstackError(
                f"{self.path} was made by PostgreSQL {version}, this is {MAJOR}: dump it with {version}, "
                "move it away and load the dump"
            )

    def _drop_drafts(self) -> None:
        """A draft never held data: it becomes the cluster by a rename before the first server starts."""
        for draft in self.path.parent.glob(f"{self.path.name}.new-*"):
            logger.warning("removing %s, left by an interrupted initialisation", draft)
            if draft.is_dir():
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink(missing_ok=True)

    def _set_aside(self) -> None:
        if not self.path.exists():
            return
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()
            return
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%fZ")
        aside = self.path.with_name(f"{self.path.name}.broken-{stamp}")
        self.path.rename(aside)
        logger.warning(
            "%s is not a complete PostgreSQL cluster; moved to %s, starting with a new one", self.path, aside
        )

    async def _initialise(self, run_as: RunAs, password: str) -> None:
        draft = self.path.with_name(f"{self.path.name}.new-{os.getpid()}")
        draft.mkdir(mode=0o700)
        secret = draft.with_name(f"{draft.name}.password")
        try:
            with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(password)
            run_as.own(draft, secret)
            await self._initdb(run_as, draft, secret)
            draft.rename(self.path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        finally:
            secret.unlink(missing_ok=True)
        _sync_directory(self.path.parent)
        logger.info("initialised PostgreSQL %s in %s", MAJOR, self.path)

    async def _initdb(self, run_as: RunAs, draft: Path, secret: Path) -> None:
        initdb = self.binaries / "initdb"
        child = await Child.spawn(
            Launch(
                argv=[*run_as.prefix, initdb, "-D", draft, "-U", "postgres", "--auth=scram-sha-256",
                      f"--pwfile={secret}", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                      "--no-instructions"],
                env={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent"},
                log=self.log,
                account=run_as.account,
                death_signal=signal.SIGKILL,
            )
        )  # fmt: skip
        try:
            code = await asyncio.wait_for(child.wait(), INITDB_SECONDS)
        except BaseException:
            await child.stop(signal.SIGKILL, 5.0)
            raise
        if code != 0:
            raise ServiceFailed(f"initdb ended with code {code}; {self.log} ends with:\n{tail(self.log)}")

    def served_by(self, pid: int | None) -> bool:
        """Whether the server with this pid has taken the directory and its port, by its own account."""
        with contextlib.suppress(OSError):
            lines = (self.path / "postmaster.pid").read_text().splitlines()
            return len(lines) >= STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE - 1].strip() == "ready"
        return False

    async def clear_remains(self) -> None:
        """End what an earlier supervisor left running in the directory and remove a stale `postmaster.pid`.

        The caller holds the lock on the data directory. The stale file must go: in a user namespace and in a
        container the recorded pid often belongs to somebody else by now, and PostgreSQL would then refuse to start.
        """
        pid_file = self.path / "postmaster.pid"
        postmaster = _first_pid(pid_file)
        if postmaster in self._servers():
            logger.warning("stopping a PostgreSQL (pid %s) that an earlier run left in %s", postmaster, self.path)
            _signal(postmaster, signal.SIGINT)
            await _until(lambda: postmaster not in self._servers(), REMAINS_SECONDS)
        # Without their postmaster backends can do nothing useful, and they hold the shared memory.
        for backend in self._servers():
            _signal(backend, signal.SIGKILL)
        if not await _until(lambda: not self._servers(), REMAINS_SECONDS):
            raise ServiceFailed(f"PostgreSQL processes {self._servers()} in {self.path} do not end")
        if pid_file.exists():
            logger.warning("removing %s, left by a server that was killed", pid_file)
            pid_file.unlink()

    def _servers(self) -> list[int]:
        """Processes of a PostgreSQL server whose working directory is this data directory (Linux's /proc)."""
        if sys.platform != "linux":
            pid = _first_pid(self.path / "postmaster.pid")
            return [pid] if pid and _alive(pid) else []
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._serves(entry)]

    def _serves(self, process: Path) -> bool:
        try:
            runs_postgres = (process / "exe").readlink().name.startswith("postgres")
            return runs_postgres and (process / "cwd").readlink() == self.path.resolve()
        except OSError:  # Ended meanwhile, a kernel thread, or another user's.
            return False


def _first_pid(pid_file: Path) -> int:
    """0 when there is no such file or it holds no pid."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(pid_file.read_text().splitlines()[0])
    return 0


def _signal(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        if loop.time() > end:
            return False
        await asyncio.sleep(SYNC_SECONDS)
    return True


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
