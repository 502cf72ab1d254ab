"""The id of a request: the client's, or a new one; and the request that is being answered, for whatever is logged."""

from contextvars import ContextVar
from typing import Final, Protocol
from uuid import UUID

import uuid_utils
from msgspec import Struct

__all__ = ["REQUEST", "Handshake", "LoggedRequest", "request_id"]


class LoggedRequest(Protocol):
    """What log records say of the request they belong to; what is not known (yet) is empty."""

    @property
    def request_id(self) -> bytes: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def user_id(self) -> UUID | None: ...
    @property
    def team(self) -> bytes: ...
    @property
    def client(self) -> str: ...


class Handshake(Struct):
    """A WebSocket as the log knows it. `user_id` and `team` are set once they are known, `close` is its close code."""

    request_id: bytes
    client: str
    trace_id: str = ""
    user_id: UUID | None = None
    team: bytes = b""
    close: int = 0


REQUEST: Final[ContextVar[LoggedRequest]] = ContextVar("request")
"""The request that is being answered, also in tasks that it starts; `taskforge.logs` adds it to every record."""

_ID_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

_new_id = uuid_utils.uuid7


def request_id(given: bytes | None) -> bytes:
    """The client's request id when it is well-formed (1 to 128 of A-Z a-z 0-9 - _ .), else a new UUIDv7."""
    if given is not None and 0 < len(given) <= 128 and not given.translate(None, _ID_BYTES):
        return given
    return str(_new_id()).encode()
