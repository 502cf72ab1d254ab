"""The API process as Granian loads it, with a watch over its event loop beside it."""

import asyncio
import gc
import time
from collections.abc import Awaitable
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from taskforge.asgi import LifespanApp, Receive, Scope, Send

__all__ = ["PATH", "Stalls", "app"]

PATH: Final = "/-/stalls"
TICK_SECONDS: Final = 0.001
LONG_MS: Final = 20.0


class Stalls(Struct):
    """Since the last look, in ms: the longest time that the loop's own thread worked between two ticks of a timer of
    1 ms, how often that was more than 20, and the longest that a tick was late by the clock on the wall.

    The latter has in it what the machine gave to other programs, and what was waited for on the thread. `collecting_ms`
    is the longest collection of garbage by generation (it is part of `busy_ms`), `collections` how many there were.
    """

    busy_ms: float = 0.0
    over: int = 0
    late_ms: float = 0.0
    ticks: int = 0
    collecting_ms: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    collections: list[int] = field(default_factory=lambda: [0, 0, 0])

    def note(self, busy: float, late: float) -> None:
        """One tick, in seconds."""
        self.ticks += 1
        self.busy_ms = max(self.busy_ms, busy * 1000)
        self.late_ms = max(self.late_ms, late * 1000)
        self.over += busy * 1000 > LONG_MS


class WatchedApp:
    """`taskforge.asgi`, its loop watched from the lifespan's start on; `PATH` gives the stalls and forgets them."""

    def __init__(self) -> None:
        self._app = LifespanApp()
        self._stalls = Stalls()
        self._collecting = 0.0

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return self._lifespan(scope, receive, send)
        if scope.get("path") == PATH:
            return self._answer(send)
        return self._app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        watch = asyncio.create_task(self._watch())
        gc.callbacks.append(self._collected)
        try:
            await self._app(scope, receive, send)
        finally:
            gc.callbacks.remove(self._collected)
            watch.cancel()

    def _collected(self, phase: str, about: dict[str, Any]) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
            return
        generation, took = about["generation"], (time.thread_time() - self._collecting) * 1000
        self._stalls.collections[generation] += 1
        self._stalls.collecting_ms[generation] = max(self._stalls.collecting_ms[generation], took)

    async def _watch(self) -> None:
        busy, clock = time.thread_time(), time.perf_counter()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            busy_now, clock_now = time.thread_time(), time.perf_counter()
            self._stalls.note(busy_now - busy, clock_now - clock - TICK_SECONDS)
            busy, clock = busy_now, clock_now

    async def _answer(self, send: Send) -> None:
        found, self._stalls = self._stalls, Stalls()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": msgspec.json.encode(found)})


app = WatchedApp()
