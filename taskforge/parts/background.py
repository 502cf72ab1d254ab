"""Parts made of what only knows how to run: endless work, and the teams, whose running is a block."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec import Struct

from actors.system import SystemStatistics, TeamSystem
from taskforge.parts.draining import TEAMS_SECONDS

__all__ = ["Background", "Nothing", "Teams", "Work", "at_once"]


class Work(Protocol):
    """Runs until it is cancelled, and says when it has started."""

    def __call__(self, *, task_status: TaskStatus[None]) -> Awaitable[None]: ...


class Nothing(Struct, frozen=True):
    """The statistics of a part that counts nothing."""


async def nothing_to_finish() -> None:
    return


def at_once(work: Callable[[], Awaitable[None]]) -> Work:
    """Work that counts as started as soon as it runs."""

    async def run(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await work()

    return run


class Background:
    """Endless work as a part: when it is stopped, it may `finish` what it has, and is cancelled."""

    def __init__(
        self,
        name: str,
        work: Work,
        *,
        ready: Callable[[], bool] = lambda: True,
        statistics: Callable[[], Struct] = Nothing,
        finish: Callable[[], Awaitable[None]] = nothing_to_finish,
    ) -> None:
        self.name = name
        self.statistics = statistics
        self._work, self._ready, self._finish = work, ready, finish
        self._stopping = anyio.Event()

    @property
    def ready(self) -> bool:
        return self._ready()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as group:
            await group.start(self._start_work)
            task_status.started()
            await self._stopping.wait()
            await self._finish()
            group.cancel_scope.cancel()

    async def _start_work(self, *, task_status: TaskStatus[None]) -> None:
        await self._work(task_status=task_status)


class Teams:
    """The active teams as a part: stopped, they refuse new commands and finish those that wait."""

    name = "teams"
    ready = True

    def __init__(self, system: TeamSystem) -> None:
        self._system = system
        self._stopping = anyio.Event()

    def statistics(self) -> SystemStatistics:
        return self._system.statistics()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        async with self._system.running(drain_seconds=TEAMS_SECONDS):
            task_status.started()
            await self._stopping.wait()
