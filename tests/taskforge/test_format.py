"""A database whose format is raised above what this program knows: who runs there ends, who comes is refused."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api.closed import closed
from db.settings import DatabaseSettings
from taskforge.asgi import LifespanApp
from taskforge.devstack import DevStack
from tests.support.account import NO_TLS
from tests.taskforge.test_cli import external

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

Started = list["subprocess.Popen[str]"]
Message = MutableMapping[str, Any]
TOO_OLD = "it is too old to run here"


@pytest.fixture
def environment(
    services: DevStack, database: DatabaseSettings, no_taskforge_environment: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, str]:
    no_taskforge_environment.chdir(tmp_path)
    return {**os.environ, **external(services, database), "TASKFORGE_HTTP__WORKERS": "2", "TASKFORGE_OPS__PORT": "0"}


@pytest.fixture
def processes() -> Iterator[Started]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def start(processes: Started, environment: dict[str, str], command: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "taskforge", command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    processes.append(process)
    return process


async def status(http: httpx.AsyncClient, path: str) -> int:
    """0 while nobody answers."""
    try:
        return (await http.get(path)).status_code
    except httpx.TransportError:
        return 0


async def raise_format(superuser: asyncpg.Connection) -> None:
    await superuser.execute("update installation set format = format + 1")


async def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, said = await asyncio.to_thread(process.communicate, timeout=30)
    return process.returncode, said


async def test_api_and_worker_end_when_the_format_is_raised(
    environment: dict[str, str], superuser: asyncpg.Connection, processes: Started
) -> None:
    api, worker = (start(processes, environment, command) for command in ("api", "worker"))
    base = f"http://127.0.0.1:{environment['TASKFORGE_HTTP__PORT']}"
    async with httpx.AsyncClient(base_url=base, verify=NO_TLS, timeout=5) as http:
        while await status(http, "/readyz") != 200:
            assert api.poll() is None
            await asyncio.sleep(0.05)
        assert await status(http, "/v1/me") == 401
        await raise_format(superuser)
    for process in (api, worker):
        code, said = await ended(process)
        assert code == 1, said
        assert TOO_OLD in said.splitlines()[-1], said


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_a_program_that_is_too_old_is_refused_in_one_line(
    environment: dict[str, str], superuser: asyncpg.Connection, processes: Started, command: str
) -> None:
    await raise_format(superuser)
    code, said = await ended(start(processes, environment, command))
    assert code == 1
    assert TOO_OLD in said
    assert "Traceback" not in said


async def test_an_api_process_that_is_outdated_serves_nothing_and_asks_its_server_to_end(
    environment: dict[str, str], superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server does next, nothing of the old program is answered any more."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    asked, states, shutdown = asyncio.Event(), asyncio.Queue[Message](), asyncio.Event()
    monkeypatch.setattr("taskforge.asgi.ask_to_stop", asked.set)
    monkeypatch.setattr("taskforge.asgi.drain_on_signal", lambda _: None)
    monkeypatch.setattr("db.installation.CHECK_SECONDS", 0.01)
    startup = iter([{"type": "lifespan.startup"}])

    async def receive() -> Message:
        if (message := next(startup, None)) is not None:
            return message
        await shutdown.wait()
        return {"type": "lifespan.shutdown"}

    async def live() -> None:
        await app({"type": "lifespan"}, receive, states.put)

    app = LifespanApp()
    life = asyncio.create_task(live())
    assert await states.get() == {"type": "lifespan.startup.complete"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/v1/me")).status_code == 401
        await raise_format(superuser)
        await asked.wait()
        refused = [await http.get(path) for path in ("/v1/me", "/healthz")]
    assert [answer.status_code for answer in refused] == [503, 503]
    shutdown.set()
    assert await states.get() == {"type": "lifespan.shutdown.complete"}
    await life


async def test_a_closed_api_refuses_requests_and_sockets() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nobody reads what is asked")

    async def send(message: Message) -> None:
        sent.append(message)

    await closed({"type": "http", "headers": [(b"x-request-id", b"mine")]}, receive, send)
    await closed({"type": "websocket", "headers": []}, receive, send)
    start_of_answer, body, close = sent
    assert start_of_answer["status"] == 503
    headers = dict(start_of_answer["headers"])
    assert headers[b"retry-after"] == b"1"
    assert headers[b"x-request-id"] == b"mine"
    assert headers[b"content-type"] == b"application/problem+json"
    assert b'"code":"shutting-down"' in body["body"]
    assert close == {"type": "websocket.close", "code": 1012}
