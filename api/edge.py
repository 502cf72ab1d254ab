"""The edge: every HTTP request passes here once: id, trace context, limits, route, errors, metrics and log line."""

import asyncio
import logging
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from blacksheep import Response
from blacksheep.contents import StreamedContent
from blacksheep.messages import Request
from blacksheep.scribe import send_asgi_response
from msgspec import structs

from api.answers import JSON, NO_STORE, Answer, about_team
from api.calls import SCOPE_KEY, BodyTooLarge, BodyTooSlow, Call
from api.codings import VARY, Codings
from api.connection_log import ConnectionLog
from api.cors import Cors
from api.deadlines import Deadlines
from api.heads import METHODS, OTHER_METHOD, Heads, takes_file
from api.limits.rules import is_exempt
from api.preconditions import refuse_if_match
from api.problems import INTERNAL, MethodNotAllowed, NoSuchPath, problem_answer
from api.request_ids import REQUEST, request_id
from api.request_log import RequestLog

if TYPE_CHECKING:
    from blacksheep import Application

    from api.auth.api_keys import Handler
    from api.parameters import Parameters
    from api.reads import Reads
    from api.routing import EdgeRouter
    from api.services import Services

__all__ = ["Edge"]

log = logging.getLogger(__name__)

_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
OK: Final = 200
_READS: Final = frozenset({"GET", "HEAD"})
_BODILESS: Final = frozenset({204, 304})
_CLOSE: Final = (b"connection", b"close")
FORM_BYTES: Final = 16 * 1024
"""What a form may have around its file."""
DISCARD_SECONDS: Final = 2.0
DISCARDED_BODIES: Final = 16
"""How many times the largest body is still read of one that is too large."""


class Edge:
    """ASGI callable for HTTP scopes, in front of BlackSheep's handlers.

    Reads that memory can answer leave from here; whatever else comes goes through router and handler. Both ways give
    the same bytes (`tests/api/test_app.py`). What is logged meanwhile carries the request's id.
    """

    def __init__(
        self,
        app: "Application",
        router: "EdgeRouter",
        services: "Services",
        reads: "Reads",
        parameters: "Parameters",
    ) -> None:
        self._app, self._router, self._reads, self._requests = app, router, reads, services.requests
        self._parameters = parameters
        self._tokens, self._keys = services.tokens, services.key_reader
        self._body_limit, self._body_seconds = services.http.body_limit, services.http.body_seconds
        self._heads, cors = Heads(services.attachment_bytes + FORM_BYTES), Cors(services.http.allowed_origins)
        self._cors = cors or None  # Every answer asks, and most systems have no other origins.
        self._deadlines = Deadlines(services.teams.answer_seconds)
        self._codings = Codings()
        self._limits, self._proxied = services.limits, services.addresses or None
        self._log, self._connections = RequestLog(services.http), ConnectionLog(services.http)
        self._least_status, self._least_seconds = self._log.status, self._log.seconds

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request, whatever happens."""
        started = perf_counter()
        call = Call(scope, receive, self._tokens, self._body_limit, self._body_seconds)
        call.request_id = request_id(call.headers.get(b"x-request-id"))
        if self._proxied is not None:
            call.client = self._proxied.of(scope)
        if call.method == "GET" and self._heads.plain(call, scope["headers"]):
            try:
                answer = self._reads.answer(call)
            except Exception:
                # The ordinary way meets the mistake again, and answers it; if it does not, this line is all there is.
                log.exception("a read from memory failed", extra={"request_id": call.request_id.decode()})
                answer = None
            # Nothing is answered from memory without a principal. Who may not have it now is told so the ordinary way.
            if answer is not None and (limits := self._limits.ready(call.principal().id, started)) is not None:
                if call.coded is not None and (accepted := call.headers.get(b"accept-encoding")) is not None:
                    answer = await self._codings.coded(accepted, answer, call.coded)
                status, body, head = answer.status, answer.body, _head(call, answer)
                if self._cors is not None:
                    head += self._cors.headers(call)
                head += limits
                await send({"type": "http.response.start", "status": status, "headers": head})
                await send({"type": "http.response.body", "body": body})
                self._done(call, status, started)
                return
        await self._answer(call, scope, receive, send, started)

    def flush_log(self) -> None:
        """Write the lines about requests that still wait for others."""
        self._log.flush()

    async def _answer(self, call: Call, scope: dict[str, Any], receive: Any, send: Any, started: float) -> None:
        """The ordinary way. The request is bound for whatever is logged here, and in tasks that start here."""
        status, streamed = INTERNAL.status, False
        scope[SCOPE_KEY] = call
        if call.method not in METHODS:
            call.method = OTHER_METHOD
        bound = REQUEST.set(call)
        try:
            if (parent := call.headers.get(b"traceparent")) is not None:
                call.traceparent = trace_parent(parent)
            response = await self._respond(call, scope, receive)
            status, streamed = response.status, isinstance(response.content, StreamedContent)
            if streamed:  # How long a feed stays open says nothing of how fast we answer.
                self._requests.record(call.route, call.method, status, perf_counter() - started)
            await self._send(call, response, self._common(call, scope, response), send)
        except asyncio.CancelledError:
            if not call.cut:
                raise
        except Exception:
            log.exception("an answer broke off")  # The server that ends the connection knows no request ids.
            raise
        finally:
            if streamed:
                self._connections.write(call.route, status, perf_counter() - started)
            else:
                self._done(call, status, started)
            REQUEST.reset(bound)

    async def _respond(self, call: Call, scope: dict[str, Any], receive: Any) -> Response:
        try:
            self._heads.check(call, scope)
            route, call.values, allowed = self._router.find(call.method, call.path)
            if route is None:
                if self._cors is not None and (answer := self._cors.preflight(call, allowed)) is not None and allowed:
                    return answer.response()
                call.route = "" if not allowed else call.route
                await self._limits.admit(call)
                raise MethodNotAllowed(allowed) if allowed else NoSuchPath
            call.route = route.pattern.decode()
            handler = await self._admitted(call, self._parameters.before(call, route.handler))
            if call.method in {"GET", "HEAD"}:
                refuse_if_match(call)
            request: Request = self._app.instantiate_request(scope, receive)
            request.route_values = call.values
            response = await self._deadlines.answer(call, handler, request)
        except BodyTooLarge as error:
            return await self._refused_early(call, error, receive, error.limit)
        except BodyTooSlow as error:
            call.closing = True
            return refusal(call, error)
        except Exception as error:  # noqa: BLE001 (the one place where every error becomes an answer)
            if takes_file(call) and not call.arrived:
                return await self._refused_early(call, error, receive, call.body_limit)
            return refusal(call, error)
        return response

    async def _refused_early(self, call: Call, error: Exception, receive: Any, limit: int) -> Response:
        """A refusal before the body has come: the client may still be sending it, over a connection that ends then."""
        call.closing = True
        if b"expect" not in call.headers:  # Such a client sends its body only when it is asked for it.
            await _discard(receive, DISCARDED_BODIES * limit)
        return refusal(call, error)

    async def _admitted(self, call: Call, handler: "Handler") -> "Handler":
        """The handler of a request that may be made as often as it is, as far as that is known before a key is read."""
        authorization = call.headers.get(b"authorization")
        if not authorization or is_exempt(call.route) or not self._keys.is_unread(authorization):
            await self._limits.admit(call)
            return handler

        async def count_first(request: Request) -> Response:
            await self._limits.admit(call)
            return await handler(request)

        self._limits.check_address(call)  # Whoever makes keys up is refused before the database is asked for them.
        return self._keys.before(count_first, authorization)  # Within the deadline of the request.

    def _common(self, call: Call, scope: dict[str, Any], response: Response) -> list[tuple[bytes, bytes]]:
        """What answers of the ordinary way carry beside their own headers."""
        common = [] if response.headers.contains(b"cache-control") else [NO_STORE]
        if self._cors is not None:
            common += self._cors.headers(call)
        common += self._limits.refused_before(call) if call.limits is None else call.limits
        if call.closing and scope.get("http_version", "").startswith("1"):  # HTTP/2 has no such field.
            common.append(_CLOSE)
        return common

    async def _send(self, call: Call, response: Response, common: list[tuple[bytes, bytes]], send: Any) -> None:
        content = response.content
        if content is not None and (content.length < 0 or isinstance(content, StreamedContent)):
            for name, value in (*common, (b"x-request-id", call.request_id), _NOSNIFF):
                response.headers.add(name, value)
            await send_asgi_response(response, send)
            return
        media_type, body = (b"", b"") if content is None else (content.type, content.body)
        headers = tuple(header for header in response.headers if header != _NOSNIFF)
        answer = Answer(response.status, body, headers, media_type)
        if call.method in _READS and answer.status == OK and (media_type == JSON or call.coded is not None):
            answer = await self._coded(call, answer)
        head = _head(call, answer) + common
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        await send({"type": "http.response.body", "body": b"" if call.method == "HEAD" else answer.body})

    async def _coded(self, call: Call, answer: Answer) -> Answer:
        """The answer as the client accepts it, unless it has an ETag that `If-Match` may name."""
        accepted = call.headers.get(b"accept-encoding")
        if call.coded is None:
            if any(name == b"etag" for name, _ in answer.headers):
                return answer
            answer = structs.replace(answer, headers=(*answer.headers, VARY))
        return answer if accepted is None else await self._codings.coded(accepted, answer, call.coded)

    def _done(self, call: Call, status: int, started: float) -> None:
        seconds = perf_counter() - started
        self._requests.record(call.route, call.method, status, seconds)
        if status >= self._least_status or seconds >= self._least_seconds:
            self._log.write(call, status, seconds)


def refusal(call: Call, error: Exception) -> Response:
    """The problem document for an error, with the team's headers once the caller is known to be a member."""
    answer = problem_answer(error)
    if call.team:
        answer = structs.replace(answer, headers=about_team(call.team, call.seq, call.epoch, answer.headers))
    return answer.response()


async def _discard(receive: Any, most: int) -> None:
    """Read what a client is still sending, within bounds: to a connection closed under it, the answer would be lost."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while most > 0:
                message = await receive()
                if not message.get("more_body"):
                    return
                most -= len(message.get("body", b""))


def _head(call: Call, answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, in the one order there is."""
    if answer.body:
        return [
            (b"content-type", answer.media_type),
            (b"content-length", b"%d" % len(answer.body)),
            *answer.headers,
            (b"x-request-id", call.request_id),
            _NOSNIFF,
        ]
    if answer.status in _BODILESS:  # Nothing to sniff at, and each header costs a read from memory a microsecond.
        return [*answer.headers, (b"x-request-id", call.request_id)]
    return [(b"content-length", b"0"), *answer.headers, (b"x-request-id", call.request_id), _NOSNIFF]


def trace_parent(value: bytes) -> str:
    """A W3C `traceparent` of version 00, or "" when it is invalid. https://www.w3.org/TR/trace-context/"""
    if len(value) != 55 or value[:3] != b"00-" or value[35] != 45 or value[52] != 45:
        return ""
    digits = value[3:35] + value[36:52] + value[53:]
    if digits.translate(None, b"0123456789abcdef") or not digits[:32].strip(b"0") or not digits[32:48].strip(b"0"):
        return ""
    return value.decode("ascii")
