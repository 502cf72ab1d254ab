"""How long a file may take: as long as it goes on coming; one that stalls or breaks off leaves nothing behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import pytest
from msgspec import structs

from db.settings import DatabaseSettings, ObjectSettings
from db.transaction import reading
from tests.support.desk import Desk, problem
from tests.support.files import begun, digest_of
from tests.support.site import serving, settings_for
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="slow.bin"\r\n\r\n'
TAIL = b"\r\n--x--\r\n"
PIECE, PIECES = b"y" * 64 * 1024, 12
PAUSE = 0.06
"""Seconds between two pieces: what is sent slowly must take its time."""


@contextlib.asynccontextmanager
async def impatient(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Desk]:
    settings = settings_for(database, valkey_url)
    settings = structs.replace(
        settings, objects=ObjectSettings(url="memory:"), http=structs.replace(settings.http, body_seconds=0.4)
    )
    async with serving(settings) as site:
        yield await Desk.open(site)


async def sent(desk: Desk, task_id: str, pieces: Sequence[bytes], *, leaving: bool = False) -> bytes:
    """The answer to a form that comes in these pieces, and was announced as long as a whole one; none when leaving."""
    size = len(HEAD) + len(PIECE) * PIECES + len(TAIL)
    lines = [
        f"POST /v1/tasks/{task_id}/attachments HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {desk['owner'].token}",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {size}",
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.site.port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(PAUSE)
        if leaving:
            return b""
        async with asyncio.timeout(20):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_a_direct_upload_that_breaks_off_can_be_sent_again(database: DatabaseSettings, valkey_url: str) -> None:
    data = b"0123456789" * 1_000
    async with impatient(database, valkey_url) as desk:
        task = await desk.task()
        signed = (await begun(desk, task["id"], data)).json()
        complete = f"/v1/tasks/{task['id']}/attachments/uploads/{signed['upload_id']}/complete"
        for announced, leaving in ((len(data), True), (4_000, False), (None, False)):
            head = await put(desk, signed["url"], data[:4_000], announced, leaving=leaving)
            assert leaving or head.startswith(b"HTTP/1.1 400 ")
            await until_answered(lambda: nothing_is_there(desk, signed["upload_id"]))
            refused = problem(await desk.post(complete), 409, "conflict")
            assert refused["reason"] == "upload-missing", "it can still come"
        assert (await desk.client.put(signed["url"], content=data)).status_code == 204
        await put(desk, signed["url"], data[:4_000], len(data), leaving=True)
        made = await desk.post(complete)
        assert (made.status_code, made.json()["digest"]) == (201, digest_of(data))


async def nothing_is_there(desk: Desk, upload_id: str) -> bool:
    store = desk.site.services.objects
    assert store is not None
    return not [key for key in await store.keys("attachment") if upload_id in key]


async def put(desk: Desk, url: str, data: bytes, announced: int | None, *, leaving: bool) -> bytes:
    """Send that to a signed address, announced as so many bytes or as pieces; the head of the answer."""
    length = "Transfer-Encoding: chunked" if announced is None else f"Content-Length: {announced}"
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.site.port)
    try:
        writer.write("\r\n".join([f"PUT {urlsplit(url).path} HTTP/1.1", "Host: x", length, "", ""]).encode())
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if announced is None else data)
        await writer.drain()
        async with asyncio.timeout(20):
            return b"" if leaving else await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def begun_and_on_their_way(desk: Desk) -> tuple[int, int]:
    """How many files have begun to come, and how many of them may still become attachments."""
    async with reading(desk.site.services.pools.worker, None) as tx:
        query = "select count(*), count(*) filter (where expires_at > now()) from objects where kind = 'attachment'"
        begun, left = await tx.fetchrow(query) or (0, 0)
    return begun, left


async def test_a_file_may_be_slow_but_must_go_on(database: DatabaseSettings, valkey_url: str) -> None:
    async with impatient(database, valkey_url) as desk:
        task = await desk.task()
        answer = await sent(desk, task["id"], [HEAD, *[PIECE] * PIECES, TAIL])
        assert answer.startswith(b"HTTP/1.1 201 ")
        stalled = await sent(desk, task["id"], [HEAD, PIECE[:100]])
        assert stalled.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in stalled.lower()
        assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["attachment_count"] == 1
        assert await begun_and_on_their_way(desk) == (2, 0)


async def test_a_client_who_leaves_midway_leaves_nothing(database: DatabaseSettings, valkey_url: str) -> None:
    async with impatient(database, valkey_url) as desk:
        task = await desk.task()
        await sent(desk, task["id"], [HEAD, PIECE], leaving=True)

        async def over() -> bool:
            return await begun_and_on_their_way(desk) == (1, 0)

        await until_answered(over)
        assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["attachment_count"] == 0
