"""What RFC 6455 demands of a server that gets frames, byte by byte over TCP, and the close codes it answers with.

Granian reads the frames, and tells us that it could not, not why: that is 1002, also where 1007 or 1009 would be right.
"""

import asyncio
import base64
import json
import logging
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.desk import Desk
from tests.support.site import Person, Site, frame, frames_until_closed
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PATIENCE = 10.0


def framed(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True, rsv: int = 0) -> bytes:
    """A frame (5.2). The mask is zero: what counts is that there is one."""
    flag, size = 0x80 if mask else 0, len(payload)
    if size > 0xFFFF:
        length = bytes([flag | 127]) + struct.pack(">Q", size)
    else:
        length = bytes([flag | size]) if size < 126 else bytes([flag | 126]) + struct.pack(">H", size)
    return bytes([(0x80 if fin else 0) | rsv << 4 | opcode]) + length + (bytes(4) if mask else b"") + payload


class Wire:
    """An opened WebSocket, by its bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def next(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame. Raises IncompleteReadError at the end."""
        first, size = await self._reader.readexactly(2)
        assert first & 0xF0 == 0x80, "whole, without extensions"
        assert size < 128, "a server does not mask"
        if size == 126:
            (size,) = struct.unpack(">H", await self._reader.readexactly(2))
        return first & 0x0F, await self._reader.readexactly(size)

    async def answers(self, raw: bytes) -> list[tuple[int, bytes]]:
        """What comes back until the other side closes the connection."""
        self.writer.write(raw)
        got = list[tuple[int, bytes]]()
        try:
            with anyio.fail_after(PATIENCE):
                while True:
                    got.append(await self.next())
        except (asyncio.IncompleteReadError, ConnectionError):
            return got


@asynccontextmanager
async def opened(site: Site, team: str, person: Person) -> AsyncIterator[Wire]:
    """A socket after its `hello`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    key = base64.b64encode(os.urandom(16)).decode()
    fields = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
    lines = [f"GET /v1/teams/{team}/live HTTP/1.1", "Host: a.example", *fields, f"Authorization: Bearer {person.token}"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    try:
        with anyio.fail_after(PATIENCE):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            wire = Wire(reader, writer)
            opcode, hello = await wire.next()
        assert (opcode, json.loads(hello)["type"]) == (TEXT, "hello")
        yield wire
    finally:
        writer.close()


WRONG = {
    "without a mask": framed(TEXT, b'{"type":"x"}', mask=False),
    "a reserved bit": framed(TEXT, b"{}", rsv=4),
    "a reserved opcode": framed(3, b"{}"),
    "a reserved control opcode": framed(11),
    "a ping of 126 bytes": framed(PING, b"x" * 126),
    "a ping in fragments": framed(PING, b"x", fin=False),
    "a continuation of nothing": framed(0, b"x"),
    "a text within a text": framed(TEXT, b"{", fin=False) + framed(TEXT, b"}"),
    "text that is no UTF-8": framed(TEXT, b'{"type":"\xff"}'),
    "fragments that are no UTF-8": framed(TEXT, b"\xce", fin=False) + framed(0, b"\xff"),
    "a close of one byte": framed(CLOSE, b"\x03"),
    "a close whose reason is no UTF-8": framed(CLOSE, struct.pack(">H", 1000) + b"\xff"),
    "a close with a code of nobody's": framed(CLOSE, struct.pack(">H", 999)),
    "a close with a code that is never sent": framed(CLOSE, struct.pack(">H", 1005)),
    "a length beyond all memory": bytes([0x81, 0xFF]) + struct.pack(">Q", 2**62) + bytes(4),
    "a length with the first bit": bytes([0x81, 0xFF]) + struct.pack(">Q", 2**63 + 5) + bytes(4),
}


@pytest.mark.parametrize("raw", WRONG.values(), ids=WRONG)
async def test_what_is_no_frame_fails_the_connection_with_1002(desk: Desk, raw: bytes) -> None:
    async with opened(desk.site, desk.team, desk["owner"]) as wire:
        (last,) = await wire.answers(raw)
    assert (last[0], struct.unpack(">H", last[1][:2])) == (CLOSE, (1002,))


@pytest.mark.parametrize(
    ("raw", "code", "reason"),
    [
        (framed(BINARY, b'{"type":"x"}'), 1003, b"frames are text"),
        (framed(BINARY), 1003, b"frames are text"),
        (framed(TEXT, b'"' + b"x" * 65_536 + b'"'), 1009, b"the frame is too long"),
        (framed(TEXT, b"x" * 40_000, fin=False) + framed(0, b"x" * 40_000), 1009, b"the frame is too long"),
        (framed(TEXT, b"x" * 2_000_000), 1009, b"the frame is too long"),
    ],
    ids=["binary", "empty binary", "65,538 characters", "in two fragments", "two million"],
)
async def test_frames_that_nobody_reads_close_with_their_code(desk: Desk, raw: bytes, code: int, reason: bytes) -> None:
    async with opened(desk.site, desk.team, desk["owner"]) as wire:
        assert await wire.answers(raw) == [(CLOSE, struct.pack(">H", code) + reason)]


async def test_a_message_of_seventeen_megabytes_is_not_read_to_its_end(desk: Desk) -> None:
    async with opened(desk.site, desk.team, desk["owner"]) as wire:
        got = await wire.answers(framed(TEXT, b"x" * 17_000_000))
    assert got in ([], [(CLOSE, struct.pack(">H", 1002) + b"not a frame of RFC 6455")])


async def test_the_longest_frame_fragments_and_pings_are_taken(desk: Desk) -> None:
    longest = b'{"type":"auth","token":"' + b"x" * (65_536 - 26) + b'"}'
    async with opened(desk.site, desk.team, desk["viewer"]) as wire:
        wire.writer.write(framed(PING, b"hello") + framed(TEXT, b'{"ty', fin=False))
        wire.writer.write(framed(PING, b"x" * 125) + framed(0, b'pe":"x"}'))
        with anyio.fail_after(PATIENCE):
            got = [await wire.next() for _ in range(3)]
        assert sorted(got)[1:] == [(PONG, b"hello"), (PONG, b"x" * 125)]
        assert json.loads(min(got)[1])["detail"] == "There is no such frame."
        assert len(longest) == 65_536
        assert await wire.answers(framed(TEXT, longest)) == [(CLOSE, struct.pack(">H", 4401) + b"authenticate again")]


@pytest.mark.parametrize("payload", [b"", struct.pack(">H", 1000), struct.pack(">H", 4999)])
async def test_a_close_is_answered_as_it_was_said(desk: Desk, payload: bytes) -> None:
    async with opened(desk.site, desk.team, desk["owner"]) as wire:
        assert await wire.answers(framed(CLOSE, payload)) == [(CLOSE, payload)]


def lines_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "taskforge.access" and record.msg == "connection"]


async def test_a_socket_has_one_line_at_its_end(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with desk.site.live(desk.team, desk["owner"], **{"X-Request-ID": "the-socket"}) as live:
        await frame(live, "hello")
        assert not lines_of(caplog)
        await live.close(4242)
    await until(lambda: lines_of(caplog))
    (record,) = lines_of(caplog)
    said = {name: getattr(record, name) for name in ("method", "route", "status", "close")}
    assert said == {"method": "GET", "route": "/v1/teams/{uuid:team_id}/live", "status": 101, "close": 4242}
    assert 0 < record.seconds < 60  # type: ignore[attr-defined]


async def test_refused_sockets_have_their_line_too(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with desk.site.live(desk.team) as nobody:
        await frames_until_closed(nobody)
    with pytest.raises(InvalidStatus):
        await desk.site.live(desk.team, desk["owner"], Origin="https://evil.example.com")
    async with opened(desk.site, desk.team, desk["owner"]) as wire:
        await wire.answers(framed(BINARY))
    await until(lambda: len(lines_of(caplog)) == 3)
    said = [(record.status, getattr(record, "close", None)) for record in lines_of(caplog)]  # type: ignore[attr-defined]
    assert said == [(101, 4401), (403, None), (101, 1003)]


async def test_a_stream_has_one_line_at_its_end(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with desk.site.stream(desk.team, desk["owner"]) as stream:
        await stream.next()
        assert not lines_of(caplog)
    await until(lambda: lines_of(caplog))
    (record,) = lines_of(caplog)
    assert (record.route, record.status) == ("/v1/teams/{uuid:team_id}/events", 200)  # type: ignore[attr-defined]
    assert not hasattr(record, "close")
