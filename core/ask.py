"""One request to a team, apart from whatever carried it: each edge builds it (HTTP, WebSocket, saga, agent, import)."""

from msgspec import Struct

from core.principal import Principal

__all__ = ["Ask"]


class Ask(Struct, frozen=True):
    """Who asks, and on which terms; the team and the command come beside it.

    `key` makes a retry safe; `fingerprint` (32 bytes, empty without a key) tells this request from others that use the
    same key. `traceparent` (W3C) may be empty. `deadline` is in seconds from when the team is asked; None leaves it to
    the settings.
    """

    principal: Principal
    key: str | None = None
    fingerprint: bytes = b""
    traceparent: str = ""
    deadline: float | None = None
