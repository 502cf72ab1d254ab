"""One HTTP request as the edge sees it: headers read once, who asks, and what logs and metrics need."""

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from blacksheep import Request

from core.ask import Ask
from core.errors import BadInput, Unauthenticated
from core.principal import Principal
from core.seq import ANYWHERE, Position, read_position

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from api.answers import Header
    from api.auth.tokens import AccessTokens
    from api.codings import Coded

__all__ = ["ANONYMOUS_BODY", "SCOPE_KEY", "BodyTooLarge", "BodyTooSlow", "Call", "call_of"]

SCOPE_KEY: Final = "taskforge.call"
ANONYMOUS_BODY: Final = 16 * 1024
"""Most bytes of a body whose sender has not said who they are."""


LEAST_SPEED: Final = 64 * 1024
"""Bytes per second: a long body may take longer than a short one, if it comes no slower than this."""


class BodyTooLarge(Exception):
    """The body is longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class BodyTooSlow(Exception):
    """The body was not complete after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Call:
    """What is known of a request. `headers` has lower-case names; a repeated header keeps its last value.

    `path` is still quoted, `route` is the pattern that matched ("" before routing), `values` the path's parsed values,
    `traceparent` a valid W3C value or "", `client` the client's address (of the peer, until a trusted proxy has
    been asked). `team`, `seq` and `epoch` are set once the
    caller is known to be a member of a team, for the headers of every answer; `ask` is set once the request goes on to
    its team. `closing` says that the connection must not be used again. `ends` (of the loop's clock) is when the
    handler is ended, `late` that it has been, and `receiving` that its body is arriving; `arrived`, that one
    which is read in pieces has come whole. `coded` is set where the answer's bytes are ready
    ones, whose coded form is kept too. `limits` are the answer's headers about rate limits, None until the request has
    been counted.
    """

    __slots__ = (
        "_body",
        "_principal",
        "_receive",
        "_tokens",
        "arrived",
        "ask",
        "body_limit",
        "body_seconds",
        "client",
        "closing",
        "coded",
        "cut",
        "ends",
        "epoch",
        "headers",
        "late",
        "limits",
        "method",
        "path",
        "query",
        "receiving",
        "request_id",
        "route",
        "seq",
        "team",
        "traceparent",
        "values",
    )

    def __init__(
        self,
        scope: dict[str, Any],
        receive: "Callable[[], Awaitable[dict[str, Any]]]",
        tokens: "AccessTokens",
        body_limit: int,
        body_seconds: float,
    ) -> None:
        self.cut = self.closing = self.late = self.receiving = self.arrived = False
        self._receive = receive
        self._tokens = tokens
        self._principal: Principal | None = None
        self._body: bytes | None = None
        self.ask: Ask | None = None
        self.coded: Coded | None = None
        self.limits: tuple[Header, ...] | None = None
        self.ends = math.inf
        self.body_limit, self.body_seconds = body_limit, body_seconds
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        peer = scope.get("client")
        self.client: str = peer[0] if peer else ""
        self.path: str = scope["raw_path"].decode("latin-1")
        self.query: bytes = scope["query_string"]
        self.request_id: bytes = b""
        self.route = self.traceparent = ""
        self.team: bytes = b""
        self.seq, self.epoch = 0, 1
        self.values: dict[str, Any] = {}

    def principal(self) -> Principal:
        """Who asks. Raises Unauthenticated."""
        if self._principal is None:
            header = self.headers.get(b"authorization")
            if header is None:
                raise Unauthenticated("The access token or API key is missing, expired, revoked or not one of ours.")
            self._principal = self._tokens.principal_of(header)
        return self._principal

    @property
    def user_id(self) -> UUID | None:
        """Who asks, once that is known."""
        return None if self._principal is None else self._principal.user_id

    @property
    def trace_id(self) -> str:
        """Of the client's trace; "" without one."""
        return self.traceparent[3:35]

    def min_seq(self) -> Position:
        """`TaskForge-Min-Seq`: the answer must be true at this place or later; 0 when absent. Raises BadInput."""
        value = self.headers.get(b"taskforge-min-seq")
        return ANYWHERE if value is None else read_position(value.decode("latin-1"), "TaskForge-Min-Seq")

    async def body(self) -> bytes:
        """The whole body, which is smaller while nobody has said who they are.

        Raises BodyTooLarge, and BadInput when the client leaves midway. Whoever ends handlers ends this one with
        BodyTooSlow after `body_seconds`.
        """
        if self._body is None:
            limit = self.body_limit if self._principal is not None else min(self.body_limit, ANONYMOUS_BODY)
            length = self.headers.get(b"content-length", b"")
            if length.isdigit() and int(length) > limit:
                raise BodyTooLarge(limit)
            clock = asyncio.get_running_loop().time
            began, ends = clock(), self.ends
            self.ends, self.receiving = began + self.body_seconds, True
            self._body = await self._receive_body(limit)
            self.ends, self.receiving = ends + clock() - began, False
        return self._body

    async def pieces(self) -> "AsyncIterator[bytes]":
        """The body as it comes, for what is too long to be in memory: at most `body_limit` bytes.

        Raises as `body` does. Whoever sends much may take longer, as long as they are not slow.
        """
        limit, size, clock = self.body_limit, 0, asyncio.get_running_loop().time
        length = self.headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            raise BodyTooLarge(limit)
        more, asked, waited = True, self.ends - clock(), 0.0
        while more:
            began = clock()
            self.ends = began + self.body_seconds + size / LEAST_SPEED - waited
            self.receiving = True
            message = await self._receive()
            self.receiving, waited = False, waited + clock() - began
            self.ends = clock() + asked  # What is done with a piece has the time that a request has.
            if message["type"] == "http.disconnect":
                raise BadInput("The request ended before its body was complete.")
            piece, more = message.get("body", b""), bool(message.get("more_body"))
            size += len(piece)
            if size > limit:
                raise BodyTooLarge(limit)
            self.arrived = not more
            if piece:
                yield piece

    async def _receive_body(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BadInput("The request ended before its body was complete.")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise BodyTooLarge(limit)
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def call_of(request: Request) -> Call:
    """The call behind a BlackSheep request (or WebSocket). Raises KeyError outside the edge."""
    scope: Any = request.scope
    call: Call = scope[SCOPE_KEY]
    return call
