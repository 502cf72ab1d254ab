"""Another handler behind our own front: the same BlackSheep application, authentication, routing and options."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

from blacksheep import Request, Response

from api.app import TaskForge
from api.routing import EdgeRouter
from api.services import Services
from taskforge.parts.names import API
from taskforge.settings import load
from taskforge.tuning import tune_collector
from taskforge.wiring import running

__all__ = ["Handler", "OnOurEdge"]

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class OnOurEdge:
    """An ASGI application that only patches tasks, between lifespan start and end, as `taskforge.asgi` does it.

    `/healthz` says 200.
    """

    def __init__(self, patching: Callable[[Services], Handler]) -> None:
        self._patching = patching
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
            services = (await stack.enter_async_context(running(load(os.environ), API))).services
            router = EdgeRouter()
            router.add_patch("/v1/tasks/{uuid:task_id}", self._patching(services))
            router.add_get("/healthz", _healthz)
            self._app = TaskForge(services, router)
            await self._app.start()
            tune_collector()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _healthz(_: Request) -> Response:
    return Response(200)
