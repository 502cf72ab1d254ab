"""One child process that cannot outlive us."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from taskforge.devstack import private

__all__ = ["Account", "Child", "Launch", "parent_tie", "signal_group"]

PR_SET_PDEATHSIG = 1


class Account(msgspec.Struct, frozen=True):
    """The unprivileged user a child runs as, when not as ourselves."""

    uid: int
    gid: int


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a process. Secrets belong into `env`; `argv` is visible to every user of the machine.

    `log` receives standard output and error; without it the child shares ours. `death_signal` is what the kernel
    sends the child when we die (Linux).
    """

    argv: Sequence[str | Path]
    env: Mapping[str, str]
    cwd: Path = Path("/")
    log: Path | None = None
    death_signal: signal.Signals = signal.SIGTERM
    account: Account | None = None


def parent_tie(death_signal: int, parent: int) -> Callable[[], None]:
    """What a child of `parent` calls first: the kernel then ends it with the thread that forked it (Linux only)."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # The parent died before the call; no signal will come.
            os._exit(1)

    return tie


def signal_group(pid: int, signum: int) -> None:
    """Signal every process of the session that `pid` led; nothing when none is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


class Child:
    """A running process, leader of its own session, so that a terminal's Ctrl-C reaches only us."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def spawn(cls, launch: Launch) -> "Child":
        """Start the process from the event loop's own thread: the tie to the parent is a tie to that thread."""
        account: dict[str, Any] = {}
        if launch.account is not None:
            account = {"user": launch.account.uid, "group": launch.account.gid, "extra_groups": []}
        with contextlib.ExitStack() as stack:
            output = None if launch.log is None else stack.enter_context(private.opened(launch.log, "ab"))
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                env=launch.env,
                cwd=launch.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=parent_tie(launch.death_signal, os.getpid()),
                **account,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        return await self._process.wait()

    def send(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signum)

    async def stop(self, signum: int, seconds: float) -> bool:
        """Ask to end, wait, then kill the whole session. Gives whether it ended by itself in time."""
        self.send(signum)
        try:
            await asyncio.wait_for(asyncio.shield(self.wait()), seconds)
            return True
        except TimeoutError:
            return False
        finally:
            signal_group(self.pid, signal.SIGKILL)
            await self.wait()
