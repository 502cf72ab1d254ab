"""The id of a request: the client's, or a new one; in the answer, and in whatever is logged meanwhile."""

from contextvars import ContextVar
from typing import Final

import uuid_utils

__all__ = ["REQUEST_ID", "request_id"]

REQUEST_ID: Final[ContextVar[bytes]] = ContextVar("request_id")
"""Of the request that is being answered, also in tasks that it starts; `taskforge.logs` adds it to every record."""

_ID_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

_new_id = uuid_utils.uuid7


def request_id(given: bytes | None) -> bytes:
    """The client's request id when it is well-formed (1 to 128 of A-Z a-z 0-9 - _ .), else a new UUIDv7."""
    if given is not None and 0 < len(given) <= 128 and not given.translate(None, _ID_BYTES):
        return given
    return str(_new_id()).encode()
