"""One HTTP request as the edge sees it: headers read once, who asks, and what logs and metrics need."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from blacksheep import Request

from core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from api.services import Authenticator
    from db.principal import Principal

__all__ = ["SCOPE_KEY", "BodyTooLarge", "Call", "call_of", "current_call"]

SCOPE_KEY: Final = "taskforge.call"

current_call: ContextVar["Call | None"] = ContextVar("current_call", default=None)
"""The request being answered, for log records."""


class BodyTooLarge(Exception):
    """The body is longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class Call:
    """What is known of a request. `headers` has lower-case names; a repeated header keeps its last value.

    `route` is the pattern that matched ("" before routing), `traceparent` a valid W3C value or "".
    """

    __slots__ = (
        "_identity",
        "_principal",
        "_receive",
        "body_limit",
        "headers",
        "method",
        "path",
        "query",
        "request_id",
        "route",
        "started",
        "traceparent",
        "values",
    )

    def __init__(
        self,
        scope: dict[str, Any],
        receive: "Callable[[], Awaitable[dict[str, Any]]]",
        identity: "Authenticator",
        body_limit: int,
    ) -> None:
        self._identity = identity
        self._receive = receive
        self._principal: Principal | None = None
        self.body_limit = body_limit
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.request_id = ""
        self.route = ""
        self.started = 0.0
        self.traceparent = ""
        self.values: dict[str, Any] = {}

    async def principal(self) -> "Principal":
        """Who asks. Raises Unauthenticated."""
        if self._principal is None:
            header = self.headers.get(b"authorization")
            known = None if header is None else self._identity.recall(header)
            self._principal = known or await self._identity.authenticate(header)
        return self._principal

    async def body(self) -> bytes:
        """The whole body. Raises BodyTooLarge past `body_limit` bytes, BadInput when the client leaves midway."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BadInput("The request ended before its body was complete.")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self.body_limit:
                raise BodyTooLarge(self.body_limit)
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def text_header(self, name: bytes) -> str | None:
        """A header as text, or None when it is absent. Raises BadInput when it is not ASCII."""
        value = self.headers.get(name)
        if value is None:
            return None
        if not value.isascii():
            raise BadInput(f"The header {name.decode()} is not ASCII.", parameter=name.decode())
        return value.decode("ascii")


def call_of(request: Request) -> Call:
    """The call behind a BlackSheep request (or WebSocket). Raises KeyError outside the edge."""
    call: Call = request.scope[SCOPE_KEY]
    return call
