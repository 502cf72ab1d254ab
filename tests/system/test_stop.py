"""A stop that people notice as little as possible: feeds are told to come again, and nothing waits for them."""

import asyncio
import contextlib
import signal
import time

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.account import NO_TLS, Account
from tests.support.system import System

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(120)]
UP = ("--workers", "2")


async def test_open_feeds_end_with_a_word_and_do_not_hold_up_the_stop(system: System) -> None:
    account = await asyncio.to_thread(Account, system.url)
    headers = {"authorization": account.http.headers["authorization"]}
    team = await asyncio.to_thread(account.team, "one")
    live = f"{system.url.replace('http', 'ws', 1)}/v1/teams/{team}/live"
    stream = {**headers, "accept": "text/event-stream"}
    async with httpx.AsyncClient(base_url=system.url, timeout=10, verify=NO_TLS) as http:
        sockets = [await connect(live, additional_headers=headers) for _ in range(4)]
        async with http.stream("GET", f"/v1/teams/{team}/events", headers=stream) as feed:
            lines = feed.aiter_lines()
            await anext(lines)
            started = time.monotonic()
            system.process.send_signal(signal.SIGINT)
            told = [line async for line in lines]
            codes = await asyncio.gather(*(close_code(socket) for socket in sockets))
    code = await asyncio.to_thread(system.process.wait, 30)
    account.http.close()
    assert "event: reconnect" in told
    assert codes == [1012] * len(codes)
    assert code == 0
    assert time.monotonic() - started < 6


async def close_code(socket: ClientConnection) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                await socket.recv()
    await socket.wait_closed()
    return socket.close_code
