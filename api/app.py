"""The application: one router, every endpoint module, the edge in front."""

import logging
from typing import Any

from blacksheep import Application, WebSocket
from blacksheep.server.routing import RouteMethod

from api.access import Access
from api.edge import Edge
from api.endpoints import register_all
from api.handshakes import deny, wrong_handshake
from api.problems import NoSuchPath, problem_answer
from api.reads import Reads
from api.request_ids import REQUEST, Handshake, request_id
from api.rest_v1 import REST_V1
from api.routing import EdgeRouter
from api.services import Services

__all__ = ["TaskForge", "create_app"]

log = logging.getLogger(__name__)


class TaskForge(Application):
    """BlackSheep's application with our edge for HTTP, and a WebSocket door that leaks nothing."""

    def __init__(self, services: Services, router: EdgeRouter) -> None:
        super().__init__(router=router, show_error_details=False)
        self._routes = router
        self._edge = Edge(self, router, services, Reads(Access(services), REST_V1))

    async def start(self) -> None:
        """Normalise the handlers, then index the routes."""
        await super().start()  # type: ignore[no-untyped-call]
        self._routes.index()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] == "http":
            if not self.started:
                await self.start()
            await self._edge(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)  # type: ignore[no-untyped-call]

    def flush_log(self) -> None:
        """Write the lines about requests that still wait for others."""
        self._edge.flush_log()

    async def handle_request_handler_exception(self, request: Any, exc: Exception) -> Any:  # noqa: ARG002
        """For what runs inside BlackSheep's own chain."""
        return problem_answer(exc).response()

    async def _handle_websocket(self, scope: Any, receive: Any, send: Any) -> None:
        """As BlackSheep's, except that an exception's text never becomes a close reason."""
        if not self.started:
            await self.start()
        match = self.router.get_match_by_method_and_path(RouteMethod.GET_WS, scope["path"])
        if match is None or match.pattern == b"*":  # BlackSheep's fallback, which has no socket to offer.
            await deny(scope, receive, send, NoSuchPath())
            return
        if (wrong := wrong_handshake(scope)) is not None:
            await deny(scope, receive, send, wrong)
            return
        socket = WebSocket(scope, receive, send)
        socket.route_values = match.values
        peer = scope.get("client")
        name = request_id(socket.get_first_header(b"x-request-id"))
        bound = REQUEST.set(Handshake(name, peer[0] if peer else ""))
        try:
            await match.handler(socket)
        except Exception:
            log.exception("a WebSocket handler failed")
            await socket.close(1011)
        finally:
            REQUEST.reset(bound)


def create_app(services: Services) -> TaskForge:
    """The ASGI application over running services; nothing starts before its lifespan does."""
    router = EdgeRouter()
    register_all(router, services)
    return TaskForge(services, router)
