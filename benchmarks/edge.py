"""Other handlers behind our own front: the same BlackSheep application, authentication and routing, other routes."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

from api.app import TaskForge
from api.routing import EdgeRouter
from api.services import Services
from taskforge.settings import load
from taskforge.tuning import settle_collector
from taskforge.wiring import running

__all__ = ["OnOurEdge"]


class OnOurEdge:
    """An ASGI application with these routes, between lifespan start and end, as `taskforge.asgi` does it."""

    def __init__(self, routes: Callable[[Services], EdgeRouter]) -> None:
        self._routes = routes
        self._app: TaskForge | None = None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "lifespan":
            assert self._app is not None, "the server waits for the lifespan's start"
            await self._app(scope, receive, send)
            return
        await receive()
        async with AsyncExitStack() as stack:
            services = await stack.enter_async_context(running(load(os.environ)))
            self._app = TaskForge(services, self._routes(services))
            await self._app.start()
            settle_collector()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
