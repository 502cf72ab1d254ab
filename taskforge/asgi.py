"""What Granian loads in each worker: the composition root behind an ASGI lifespan, and a calm way to stop."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

import anyio

from api.app import create_app
from api.closed import closed
from taskforge.logs import configure
from taskforge.operators import listening
from taskforge.parts.names import API
from taskforge.parts.process import Process
from taskforge.settings import load
from taskforge.silent_connections import SUPPORTED, SilentConnections
from taskforge.stopping import ask_to_stop, drain_on_signal
from taskforge.tuning import let_threads_stand_back, tune_collector
from taskforge.wiring import running

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class LifespanApp:
    """The application of one API process. It exists from lifespan start to lifespan end."""

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
                settings = load(os.environ)  # The command has put all of `.env` there that may be known here.
                configure(settings.log_level, settings.log_format)
                process = await stack.enter_async_context(running(settings, API))
                app = create_app(process.services)
                stack.callback(app.flush_log)
                await app.start()
            except Exception as error:
                log.exception("the API could not start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            ops = settings.ops
            await stack.enter_async_context(
                listening(ops.host, ops.api_port, process.health, process.metrics, shared=True)
            )
            self._app = app
            tune_collector()
            let_threads_stand_back(asyncio.get_running_loop())
            drain_on_signal(process)
            await send({"type": "lifespan.startup.complete"})
            async with anyio.create_task_group() as group:
                group.start_soon(self._close_when_outdated, process)
                if settings.http.http2 and SUPPORTED:
                    group.start_soon(SilentConnections(settings.http.port, settings.http.head_seconds).run)
                await receive()
                group.cancel_scope.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _close_when_outdated(self, process: Process) -> None:
        """Nothing is served from then on, and the server is asked to end, with all of its processes."""
        await process.format.outdated.wait()
        self._app = closed
        ask_to_stop()


app = LifespanApp()
