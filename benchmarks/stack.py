"""The services under test: embedded Postgres and Valkey on the server's core, and web servers beside them."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from benchmarks.machine import ROOT, SERVER_CORE, as_a_worker, on_core, processor_seconds
from core.secret import Secret
from db.migrate import migrate
from taskforge.devstack import Kind, running_devstack
from taskforge.embedded import embedded_variables
from taskforge.settings import Settings, load

__all__ = ["Server", "Stack", "free_port", "open_stack"]

LOG_SEGMENTS: Final = 128
ROWS_PER_PAGE: Final = 22
"""Of one integer, in a page that is to be filled to a tenth."""
POOL: Final = 32
"""Connections of the writer's pool, for us and for the baseline: the baseline is faster with 32 than with our 8."""
LIMITS: Final = (
    *("PRINCIPAL", "ADDRESS", "LOGIN", "LOGIN_ACCOUNT", "SIGNUP", "REFRESH", "RESET", "RESET_ACCOUNT"),
    *("INVITATIONS", "ACCEPT", "PASSWORD"),
)
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0


class Stack:
    """Running services. `environment` is what a `taskforge` process needs to use them; `settings` the same, read."""

    def __init__(self, directory: Path, environment: dict[str, str], superuser_url: str) -> None:
        self.directory = directory
        self.environment = environment
        self.superuser_url = superuser_url
        self.settings: Settings = load(environment)

    @contextmanager
    def api(self, core: int = SERVER_CORE) -> Iterator["Server"]:
        """`taskforge api` with one worker."""
        port = free_port()
        with self._serve([sys.executable, "-m", "taskforge", "api"], port, "api", "/readyz", core) as server:
            yield server

    @contextmanager
    def granian(self, target: str, *, core: int = SERVER_CORE, **environment: str) -> Iterator["Server"]:
        """Another application on a server with the very options and scheduling that `taskforge api` gives Granian."""
        port = free_port()
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--workers", "1"]
        command += ["--backlog", "4096", "--backpressure", "16384", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--log-level", "warning", target]
        with self._serve(command, port, target.partition(":")[0], "/healthz", core, environment) as server:
            yield server

    @contextmanager
    def _serve(
        self, command: list[str], port: int, name: str, ready: str, core: int, more: dict[str, str] | None = None
    ) -> Iterator["Server"]:
        environment = {**os.environ, **self.environment, **(more or {}), "TASKFORGE_HTTP__PORT": str(port)}
        log = self.directory / f"{name}-{port}.log"
        with log.open("wb") as output, on_core(core), as_a_worker():
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        server = Server(process, port, log)
        try:
            server.wait_until(ready)
            yield server
        finally:
            server.stop()


class Server:
    """A web server of ours in a process."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self._process = process
        self._log = log
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def wait_until(self, path: str) -> None:
        """Raises RuntimeError with the end of the log when `path` does not answer 200 in time."""
        with httpx.Client(transport=httpx.HTTPTransport(retries=0)) as client:
            for _ in range(int(START_SECONDS * 20)):
                try:
                    if client.get(self.url + path).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                try:
                    self._process.wait(0.05)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self.stop()
        raise RuntimeError(f"the server did not start:\n{self._log.read_text()[-3000:]}")

    def processor_seconds(self) -> float:
        """What the server and its workers have used of the processor so far; 0 where the system does not say."""
        return processor_seconds(self._process.pid)

    def stop(self) -> None:
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@asynccontextmanager
async def open_stack(core: int | None = SERVER_CORE) -> AsyncIterator[Stack]:
    """Postgres (durable: `fsync` and `synchronous_commit` are proven on) and Valkey, migrated and empty.

    `core` pins them; None leaves them where the system puts them.
    """
    directory = Path(tempfile.mkdtemp(prefix="taskforge-bench-"))
    try:
        async with _services(directory, core) as stack:
            await _prove_durable(stack.superuser_url)
            await _settle_memory(stack.superuser_url)
            await _settle_log(stack.superuser_url)
            yield stack
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def _services(directory: Path, core: int | None) -> AsyncIterator[Stack]:
    kinds: frozenset[Kind] = frozenset({"postgres", "valkey"})
    context = running_devstack(directory / "data", want=kinds, default_ports={})
    if core is None:
        running = await context.__aenter__()
    else:
        with on_core(core):
            running = await context.__aenter__()
    try:
        environment = {
            **embedded_variables(running.secrets, running.ports, kinds),
            # The broker is not under test and nothing here talks to it; the setting must only be there.
            "TASKFORGE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "TASKFORGE_OBJECTS__URL": (directory / "objects").as_uri(),
            "TASKFORGE_DATABASE__POOL_SIZE": str(POOL),
            "TASKFORGE_LOG_LEVEL": "warning",
            "TASKFORGE_LOG_FORMAT": "json",
            # One user and one address are a whole company here.
            "TASKFORGE_QUOTAS__FEEDS_PER_USER": "100000",
            "TASKFORGE_QUOTAS__FEEDS_PER_ADDRESS": "0",
            "TASKFORGE_QUOTAS__TEAMS_PER_USER": "100000",
            # Counted as ever, and never reached.
            **{f"TASKFORGE_LIMITS__{name}": "1000000000" for name in LIMITS},
        }
        owner = Secret(environment["TASKFORGE_DATABASE__OWNER_URL"]).reveal()
        await migrate(owner, passwords=running.secrets.role_passwords)
        yield Stack(directory, environment, owner)
    finally:
        await context.__aexit__(None, None, None)


async def _settle_memory(url: str) -> None:
    """Have Postgres touch all of its shared buffers, for both sides: the first use of a page costs a fault, once."""
    connection = await asyncpg.connect(url)
    try:
        pages = int(await connection.fetchval("select setting from pg_settings where name = 'shared_buffers'"))
        await connection.execute("create unlogged table touch (x integer) with (fillfactor = 10)")
        await connection.execute("insert into touch select generate_series(1, $1::integer)", pages * ROWS_PER_PAGE)
        await connection.execute("drop table touch")
    finally:
        await connection.close()


async def _settle_log(url: str) -> None:
    """Bring the write-ahead log to its steady state, for both sides: segments that exist and only have to be reused.

    A new server makes each segment on demand, which stops every commit for some 50 ms per 16 MB.
    """
    connection = await asyncpg.connect(url)
    try:
        for _ in range(LOG_SEGMENTS):
            await connection.execute("select pg_logical_emit_message(false, 'benchmark', 'x'), pg_switch_wal()")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


async def _prove_durable(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            value = await connection.fetchval("select current_setting($1)", setting)
            if value != "on":
                raise RuntimeError(f"{setting} is {value}: numbers without durability are not ours to compare")
    finally:
        await connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until_quiet(seconds: float = 0.5) -> None:
    """Let the machine settle between two loads."""
    await asyncio.sleep(seconds)
