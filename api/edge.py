"""The edge: every HTTP request passes here once, for its id, trace context, limits, route, errors, metrics and log line."""

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import uuid_utils
from blacksheep import Response
from blacksheep.contents import StreamedContent
from blacksheep.scribe import send_asgi_response

from api.calls import SCOPE_KEY, BodyTooLarge, Call, current_call
from api.problems import MethodNotAllowed, NoSuchPath, problem_answer
from core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from blacksheep import Application

    from api.routing import EdgeRouter
    from api.services import Services

__all__ = ["Edge"]

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = "Callable[[], Awaitable[dict[str, Any]]]"
Send = "Callable[[dict[str, Any]], Awaitable[None]]"

_ID_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
_SINGLE: Final = (b"authorization", b"idempotency-key", b"if-match")


class Edge:
    """ASGI callable for HTTP scopes, in front of BlackSheep's handlers."""

    def __init__(self, app: "Application", router: "EdgeRouter", services: "Services") -> None:
        self._app, self._router, self._services = app, router, services

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request, whatever happens."""
        started = perf_counter()
        services = self._services
        call = Call(scope, receive, services.identity, services.http.body_limit)
        call.started = started
        call.request_id = request_id(call.headers.get(b"x-request-id"))
        if (parent := call.headers.get(b"traceparent")) is not None:
            call.traceparent = trace_parent(parent)
        scope[SCOPE_KEY] = call
        token = current_call.set(call)
        try:
            response = await self._respond(call, scope, receive)
        finally:
            current_call.reset(token)
        await self._send(call, response, send)

    async def _respond(self, call: Call, scope: Scope, receive: Any) -> Response:
        try:
            self._check(call, scope)
            route, call.values, allowed = self._router.find(call.method, scope["raw_path"].decode("latin-1"))
            if route is None:
                raise MethodNotAllowed(allowed) if allowed else NoSuchPath
            call.route = route.pattern.decode()
            request = self._app.instantiate_request(scope, receive)
            request.route_values = call.values
            response: Response = await route.handler(request)
        except Exception as error:  # noqa: BLE001 (the one place where every error becomes an answer)
            response = problem_answer(error).response()
        return response

    def _check(self, call: Call, scope: Scope) -> None:
        if len(call.headers) != len(scope["headers"]):
            names = [name for name, _ in scope["headers"]]
            for name in _SINGLE:
                if names.count(name) > 1:
                    raise BadInput(f"The header {name.decode()} is given twice.", parameter=name.decode())
        length = call.headers.get(b"content-length")
        if length is not None and int(length) > call.body_limit:
            raise BodyTooLarge(call.body_limit)

    async def _send(self, call: Call, response: Response, send: Any) -> None:
        response.add_header(b"x-request-id", call.request_id.encode())
        content = response.content
        if content is not None and (content.length < 0 or isinstance(content, StreamedContent)):
            await send_asgi_response(response, send)
            return
        headers = [(name, value) for name, value in response.headers]
        body = b"" if content is None else content.body
        if content is not None:
            headers.append((b"content-type", content.type))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if call.method == "HEAD" else body})


def request_id(given: bytes | None) -> str:
    """The client's request id when it is well-formed (1 to 128 of A-Z a-z 0-9 - _ .), else a new UUIDv7."""
    if given is not None and 0 < len(given) <= 128 and not given.translate(None, _ID_BYTES):
        return given.decode("ascii")
    return str(uuid_utils.uuid7())


def trace_parent(value: bytes) -> str:
    """A W3C `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header) of version 00, or "" when invalid."""
    if len(value) != 55 or value[:3] != b"00-" or value[35] != 45 or value[52] != 45:
        return ""
    digits = value[3:35] + value[36:52] + value[53:]
    if digits.translate(None, b"0123456789abcdef") or not digits[:32].strip(b"0") or not digits[32:48].strip(b"0"):
        return ""
    return value.decode("ascii")
