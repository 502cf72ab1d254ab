"""Workers in processes of their own, which tests kill at a point of their choice."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import asyncpg

from taskforge.devstack.ports import free_port
from taskforge.processes import http_get
from tests.support.waiting import until_answered

__all__ = ["WorkerProcess", "held", "worker_process"]

START_SECONDS = 60.0


class WorkerProcess:
    """`taskforge worker`; `port` is where it answers its operators."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self._port = process, port

    def kill(self) -> None:
        """As `kill -9` does; may be called by another thread, and again."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def gone(self) -> None:
        """Wait until it is no more."""
        await self._process.wait()

    async def ready(self) -> bool:
        assert self._process.returncode is None, "the worker has ended"
        return (await http_get("127.0.0.1", self._port, "/readyz"))[0] == 200

    async def metric(self, line: str) -> float:
        """The value behind this beginning of a line of `/metrics`, 0 where there is none."""
        _, numbers = await http_get("127.0.0.1", self._port, "/metrics")
        found = [one for one in numbers.decode().splitlines() if one.startswith(line)]
        return float(found[0].rpartition(" ")[2]) if found else 0.0


@asynccontextmanager
async def worker_process(
    environment: Mapping[str, str], *parts: str, until_ready: bool = True
) -> AsyncIterator[WorkerProcess]:
    """A worker with these parts (all there are), ready unless nobody wants to wait; it is killed in the end."""
    port = free_port()
    command = (sys.executable, "-m", "taskforge", "worker", *(("--only", ",".join(parts)) if parts else ()))
    given = os.environ | dict(environment) | {"TASKFORGE_OPS__PORT": str(port)}
    process = await asyncio.create_subprocess_exec(*command, env=given)
    worker = WorkerProcess(process, port)
    try:
        if until_ready:
            await until_answered(worker.ready, START_SECONDS)
        yield worker
    finally:
        worker.kill()
        await worker.gone()


@asynccontextmanager
async def held(url: str, table: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Whoever adds to the table waits while this is open; yields what says whether somebody does. `url` is a
    superuser's."""
    connection = await asyncpg.connect(url)

    async def somebody_waits() -> bool:
        waiting = "select exists (select from pg_locks where relation = $1::regclass and not granted)"
        return bool(await connection.fetchval(waiting, table))

    try:
        async with connection.transaction():
            await connection.execute(f"lock table {table} in share mode")
            yield somebody_waits
    finally:
        await connection.close()
