"""One change to 1,000 WebSockets: how long until the last of them has it."""

import asyncio
import base64
import os
import time
from typing import Final
from urllib.parse import urlsplit

from benchmarks.account import Account
from benchmarks.machine import LOAD_CORE, on_core
from benchmarks.measure import Goal, Result, percentile
from benchmarks.stack import Server, open_stack

__all__ = ["run"]

SOCKETS: Final = 1000
P99_GOAL_MS: Final = 250.0
AT_ONCE: Final = 50
PATIENCE_SECONDS: Final = 30.0


class Listener(asyncio.Protocol):
    """A WebSocket client that only notes when an event came: 1,000 full ones would measure themselves."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._loop = asyncio.get_running_loop()
        self.hello: asyncio.Future[None] = self._loop.create_future()
        self.heard: asyncio.Future[float] = self._loop.create_future()
        self._seen = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if not self.hello.done() and b'"type":"hello"' in self._seen:
            self.hello.set_result(None)
        if not self.heard.done() and b'"type":"event"' in self._seen:
            self.heard.set_result(time.perf_counter())

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.hello, self.heard):
            if not future.done():
                future.set_exception(error or ConnectionError(bytes(self._seen[:300])))

    def listen_again(self) -> None:
        """Forget what came so far and wait for the next event."""
        self._seen.clear()
        self.heard = self._loop.create_future()


async def run(*, quick: bool) -> Result:
    """A socket's latency: from sending the PATCH to having the event; it holds the commit and the client's own work."""
    result = Result("fanout", note=f"{SOCKETS} sockets of one client process on core 1, server and Postgres on core 0.")
    async with open_stack() as stack:
        with stack.api() as api, Account(api.url) as account, on_core(LOAD_CORE):
            team_id, task_ids = account.team(1, 50)
            listeners = await _listeners(api, team_id, account.headers)
            latencies, lasts = [], []
            for number in range(5 if quick else 25):
                found = await _change(account, listeners, team_id, task_ids[number % 50], number)
                latencies += found
                lasts.append(max(found) * 1000)
            for listener in listeners:
                listener.transport.close()
    p99 = percentile(latencies, 0.99) * 1000
    result.goals.append(Goal("one change to 1,000 WebSockets: p99 in ms", p99, P99_GOAL_MS, at_least=False))
    result.numbers["latency"] = {
        "p50_ms": percentile(latencies, 0.5) * 1000,
        "p99_ms": p99,
        "slowest_ms": max(latencies) * 1000,
        "last_socket_p50_ms": percentile(lasts, 0.5),
    }
    return result


async def _listeners(api: Server, team_id: str, headers: dict[str, str]) -> list[Listener]:
    found: list[Listener] = []
    while len(found) < SOCKETS:
        made = await asyncio.gather(*(_listener(api, team_id, headers) for _ in range(AT_ONCE)))
        found += made
    return found


async def _listener(api: Server, team_id: str, headers: dict[str, str]) -> Listener:
    key = base64.b64encode(os.urandom(16)).decode()
    host = urlsplit(api.url).netloc
    request = (
        f"GET /v1/teams/{team_id}/live HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: {headers['Authorization']}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(lambda: Listener(request.encode()), "127.0.0.1", api.port)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await listener.hello
    return listener


async def _change(account: Account, listeners: list[Listener], team_id: str, task_id: str, number: int) -> list[float]:
    for listener in listeners:
        listener.listen_again()
    started = time.perf_counter()
    await asyncio.to_thread(account.rename, team_id, task_id, f"Change {number} of {time.time_ns()}")
    async with asyncio.timeout(PATIENCE_SECONDS):
        ends = await asyncio.gather(*(listener.heard for listener in listeners))
    return [end - started for end in ends]
