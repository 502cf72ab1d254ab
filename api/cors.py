"""Which pages of other origins may read our answers: CORS, https://fetch.spec.whatwg.org/#http-cors-protocol

The origins are those of `TASKFORGE_HTTP__ALLOWED_ORIGINS`, which govern WebSockets as well (`auth/lifetimes.py`).
Nobody is ever authenticated by a cookie, so that credentials mode is not allowed: a page sends its token as a header.
Requests of other origins are answered as ever, for a browser keeps the answer from its page.
"""

from collections.abc import Iterable
from typing import Final

from api.answers import Answer, Header
from api.calls import Call

__all__ = ["EXPOSED", "REQUEST_HEADERS", "Cors"]

EXPOSED: Final = (
    "ETag, Location, Retry-After, WWW-Authenticate, X-Request-ID, TaskForge-Team, TaskForge-Seq, "
    "TaskForge-Epoch, TaskForge-Warning, Idempotent-Replayed, RateLimit, RateLimit-Policy, Allow, Deprecation, "
    "Sunset, Link"
)
"""What a page may read of an answer beyond the few headers that it always may."""
REQUEST_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, TaskForge-Min-Seq, "
    "TaskForge-Team, X-Request-ID, traceparent, tracestate"
)
"""What a page may send beyond the few headers that it always may."""
PREFLIGHT_SECONDS: Final = 7_200
"""How long a browser keeps a preflight's answer; the longest that any of them allows."""

VARY: Final = (b"vary", b"Origin")


class Cors:
    """The headers that answers carry for pages of allowed origins."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._allowed: dict[bytes, tuple[Header, ...]] = {}
        for origin in origins:
            name = origin.rstrip("/").lower().encode()
            exposed = (b"access-control-expose-headers", EXPOSED.encode())
            self._allowed[name] = ((b"access-control-allow-origin", name), exposed, VARY)

    def __bool__(self) -> bool:
        """Whether any origin is allowed. Without one, answers do not depend on who asks."""
        return bool(self._allowed)

    def headers(self, call: Call) -> tuple[Header, ...]:
        """What the answer to this call carries: caches are always told that it depends on the origin."""
        origin = call.headers.get(b"origin")
        return (VARY,) if origin is None else self._allowed.get(origin.lower(), (VARY,))

    def preflight(self, call: Call, methods: tuple[str, ...]) -> Answer | None:
        """The answer to a preflight of an allowed origin for a path with these methods, or None: it is not one."""
        wanted, origin = call.headers.get(b"access-control-request-method"), call.headers.get(b"origin")
        if call.method != "OPTIONS" or wanted is None or origin is None or origin.lower() not in self._allowed:
            return None
        own = (
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", REQUEST_HEADERS.encode()),
            (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
        )
        return Answer(204, b"", own, b"")
