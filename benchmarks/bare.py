"""The floor: a Granian ASGI application that sends recorded bytes and does nothing else.

`TASKFORGE_BENCH_ANSWER` names a file with one recorded answer (msgpack of status, headers, body); `/healthz` says 200.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["Recorded", "app"]


Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Recorded(Struct, frozen=True):
    """An answer as our server gave it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def _load() -> Recorded:
    return msgspec.msgpack.decode(Path(os.environ["TASKFORGE_BENCH_ANSWER"]).read_bytes(), type=Recorded)


class _Bare:
    def __init__(self) -> None:
        self._start: dict[str, Any] = {}
        self._body: dict[str, Any] = {}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["path"] == "/healthz":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send(self._start)
            await send(self._body)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        recorded = _load()
        self._start = {"type": "http.response.start", "status": recorded.status, "headers": recorded.headers}
        self._body = {"type": "http.response.body", "body": recorded.body}
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


app = _Bare()
