"""The application: one router, every endpoint module, the edge in front."""

import logging
from collections.abc import Coroutine
from time import perf_counter
from typing import Any, Final

from blacksheep import Application, WebSocket
from blacksheep.server.routing import RouteMatch, RouteMethod

from api.access import Access
from api.answers import Header
from api.connection_log import ConnectionLog
from api.edge import Edge
from api.endpoints import all_operations, register_all
from api.handshakes import deny, wrong_handshake
from api.parameters import Parameters
from api.problems import INTERNAL, REFUSED_HANDSHAKE, NoSuchPath, problem_answer
from api.reads import Reads
from api.request_ids import REQUEST, Handshake, request_id
from api.rest_v1 import REST_V1
from api.routing import EdgeRouter
from api.services import Services
from api.used_keys import UsedKeys
from core.errors import RateLimited

__all__ = ["TaskForge", "create_app"]

log = logging.getLogger(__name__)

SWITCHED: Final = 101
FAILED: Final = 1011
"""The close code of a mistake of ours."""


class TaskForge(Application):
    """BlackSheep's application with our edge for HTTP, and a WebSocket door that leaks nothing."""

    def __init__(self, services: Services, router: EdgeRouter) -> None:
        super().__init__(router=router, show_error_details=False)
        self._routes = router
        self._addresses, self._limits = services.addresses, services.limits
        operations = all_operations()
        self._limits.learn(operations)
        self._connections = ConnectionLog(services.http)
        reads = Reads(Access(services), REST_V1, services.clock)
        parameters = Parameters(operations, UsedKeys(services).around)
        self._edge = Edge(self, router, services, reads, parameters)

    async def start(self) -> None:
        """Normalise the handlers, then index the routes."""
        await super().start()  # type: ignore[no-untyped-call]
        self._routes.index()

    def __call__(self, scope: Any, receive: Any, send: Any) -> Coroutine[Any, Any, None]:
        """ASGI. Gives the edge's own coroutine, so that a request pays for no frame of ours."""
        if scope["type"] == "http" and self.started:
            return self._edge(scope, receive, send)
        return self._ordinary(scope, receive, send)

    async def _ordinary(self, scope: Any, receive: Any, send: Any) -> None:
        if not self.started:
            await self.start()
        if scope["type"] == "http":
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
        started = perf_counter()
        handshake = Handshake(request_id(dict(scope["headers"]).get(b"x-request-id")), self._addresses.of(scope))
        match = self.router.get_match_by_method_and_path(RouteMethod.GET_WS, scope["path"])
        if match is not None and match.pattern == b"*":  # BlackSheep's fallback, which has no socket to offer.
            match = None
        route, status = "" if match is None else match.pattern.decode(), INTERNAL.status
        bound = REQUEST.set(handshake)
        try:
            wrong, limits = await self._judge(handshake, NoSuchPath() if match is None else wrong_handshake(scope))
            if match is None or wrong is not None:
                status = await deny(receive, send, wrong or NoSuchPath(), handshake.request_id, limits)
            else:
                status = await self._serve_websocket(match, WebSocket(scope, receive, send), handshake)
        finally:
            self._connections.write(route, status, perf_counter() - started, handshake.close)
            REQUEST.reset(bound)

    async def _judge(
        self, handshake: Handshake, wrong: Exception | None
    ) -> tuple[Exception | None, tuple[Header, ...]]:
        """Why the handshake is refused, if it is, and what its answer says about limits."""
        try:
            return wrong, await self._limits.admit_handshake(handshake.client)
        except RateLimited as error:
            return error, self._limits.look_at(handshake.client)

    async def _serve_websocket(self, match: RouteMatch, socket: WebSocket, handshake: Handshake) -> int:
        """The status with which the handshake was answered, once the socket is closed."""
        socket.route_values = match.values
        try:
            await match.handler(socket)
        except Exception:
            log.exception("a WebSocket handler failed")
            handshake.close = FAILED
            await socket.close(FAILED)
        return SWITCHED if socket.accepted else REFUSED_HANDSHAKE


def create_app(services: Services) -> TaskForge:
    """The ASGI application over running services; nothing starts before its lifespan does."""
    router = EdgeRouter()
    register_all(router, services)
    return TaskForge(services, router)
