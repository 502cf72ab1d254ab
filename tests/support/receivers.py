"""Endpoints that take webhooks: they keep what comes, and answer, or do not, as a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from msgspec import Struct

__all__ = ["Behaviour", "Received", "Receiver", "receiving"]

Kind = Literal["answer", "hang", "reset", "huge", "slow", "garbage"]


class Behaviour(Struct, frozen=True):
    """What an endpoint does with a request: `answer` it, leave it, cut it off, or answer more or slower than it may."""

    status: int = 204
    kind: Kind = "answer"
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Received(Struct, frozen=True):
    """One request, in the order of arrival. `answered` is the status it got, None for none."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    answered: int | None
    at: float

    @property
    def seq(self) -> int:
        return int(self.headers["taskforge-seq"])


class Receiver:
    """Endpoints on one port, by their paths. `behave` is asked for each request; nothing is lost of what came."""

    def __init__(self) -> None:
        self.port = 0
        self.received: list[Received] = []
        self.behave: Callable[[str, Mapping[str, str]], Behaviour] = lambda _path, _headers: Behaviour()
        self.open = 0
        self.most_open = 0

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._one(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        wanted = self.behave(path, headers)
        answered = wanted.status if wanted.kind in ("answer", "huge") else None
        self.received.append(Received(path, headers, body, answered, asyncio.get_running_loop().time()))
        await self._answer(wanted, reader, writer)

    async def _answer(self, wanted: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match wanted.kind:
            case "hang":
                await reader.read()  # Until the other side gives up.
            case "reset":
                writer.transport.abort()
            case "garbage":
                writer.write(b"\x00\xff not HTTP\r\n\r\n")
            case "slow":
                writer.write(b"HTTP/1.1 200 OK\r\n")
                while not writer.is_closing() and not reader.at_eof():
                    writer.write(b"X-Slow: 1\r\n")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1), 0.05)
            case "huge":
                writer.write(b"HTTP/1.1 %d OK\r\n\r\n" % wanted.status)
                while not reader.at_eof():
                    writer.write(b"x" * 65_536)
                    await writer.drain()
            case "answer":
                lines = "".join(f"{name}: {value}\r\n" for name, value in wanted.headers.items())
                head = f"HTTP/1.1 {wanted.status} Said\r\nContent-Length: {len(wanted.body)}\r\n{lines}\r\n"
                writer.write(head.encode() + wanted.body)
                await writer.drain()


@asynccontextmanager
async def receiving(**options: Any) -> AsyncIterator[Receiver]:
    """Endpoints on a free port of this machine, gone with all their connections at the end."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await receiver.serve(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
