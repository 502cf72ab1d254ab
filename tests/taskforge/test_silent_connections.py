"""Connections that never say what they want end; those that do stay, however quiet they are later."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from db.settings import DatabaseSettings
from taskforge.silent_connections import SUPPORTED, SilentConnections
from tests.support.site import Site, frame, serving, settings_for
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not SUPPORTED, reason="the kernel does not say it")]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture
async def site(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Site]:
    async with serving(settings_for(database, valkey_url)) as running:
        yield running


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def ends(reader: asyncio.StreamReader) -> bool:
    with anyio.fail_after(10):
        return await reader.read() == b""


@pytest.mark.parametrize("said", [b"", b"P", PREFACE[:20], PREFACE], ids=["nothing", "a byte", "a part", "the preface"])
async def test_a_connection_that_says_nothing_ends_at_its_deadline(site: Site, said: bytes) -> None:
    clock = Clock()
    watch = SilentConnections(site.port, 30, clock)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(said)
    answer = await site.client.get("/healthz")  # By then the server has accepted the one before, too.
    assert (answer.status_code, watch.look()) == (200, 0)
    clock.now += 29.9
    assert watch.look() == 0
    clock.now += 0.2
    assert watch.look() == 1
    if said == PREFACE:  # Granian greets whoever speaks HTTP/2.
        with anyio.fail_after(10):
            await reader.read()
    else:
        assert await ends(reader)
    await until(lambda: watch.look() == 0)
    writer.close()


async def test_a_connection_that_has_spoken_stays(site: Site) -> None:
    clock = Clock()
    watch = SilentConnections(site.port, 30, clock)
    ada = await site.person()
    team = await site.team(ada)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    async with site.live(team, ada) as live, site.stream(team, ada) as stream:
        await frame(live, "hello")
        await stream.next()
        for _ in range(10):
            clock.now += 31
            assert watch.look() == 0
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n")
        await site.task(ada, team)
        assert (await frame(live))["seq"] == 3
        assert await stream.seqs(1) == [3]
    writer.close()


async def test_other_connections_of_the_process_are_left_alone(site: Site) -> None:
    clock = Clock()
    watch = SilentConnections(site.port, 30, clock)
    served = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.set()
        await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await served.wait()
        watch.look()
        clock.now += 1000
        assert watch.look() == 0
        writer.close()
    assert (await site.client.get("/readyz")).status_code == 200


async def test_it_watches_by_itself(site: Site) -> None:
    watch = SilentConnections(site.port, 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    async with anyio.create_task_group() as group:
        group.start_soon(watch.run)
        assert await ends(reader)
        group.cancel_scope.cancel()
    writer.close()
