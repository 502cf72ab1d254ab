"""What Granian loads in each worker: the composition root behind an ASGI lifespan, and a calm way to stop."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from api.app import create_app
from api.services import Services
from taskforge.logs import configure
from taskforge.memory import settle_collector
from taskforge.settings import load
from taskforge.wiring import running

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[int, FrameType | None], Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAIN_SECONDS = 2.0


class Worker:
    """One API worker. The application exists from lifespan start to lifespan end."""

    def __init__(self) -> None:
        self._app: App | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI. Gives the application's own coroutine, so that a request pays for no frame of ours."""
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
        assert self._app is not None, "the server waits for the lifespan's start"
        return self._app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                settings = load(os.environ, Path(".env"))
                configure(settings.log_level, settings.log_format)
                services = await stack.enter_async_context(running(settings))
                app = create_app(services)
                await app.start()
            except Exception as error:
                log.exception("the worker could not start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            self._app = app
            settle_collector()
            drain_on_signal(services)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            services.draining.set()
        await send({"type": "lifespan.shutdown.complete"})


def drain_on_signal(services: Services) -> None:
    """On SIGTERM end the open streams first, then let the server's own handler stop it: it would wait for them."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def drain_then(stop: Handler, number: int) -> None:
        if not services.draining.is_set():
            services.draining.set()
            task = loop.create_task(_drain(services, stop, number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def on_signal(stop: Handler, number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(drain_then, stop, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before):
            signal.signal(number, partial(on_signal, before))


async def _drain(services: Services, stop: Handler, number: int) -> None:
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await services.hub.drain()
    except TimeoutError:
        log.warning("some streams did not end in time")
    finally:
        stop(number, None)


app = Worker()
