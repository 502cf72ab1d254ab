"""How a WebSocket is opened, where Granian does not look (RFC 6455, 4.2.1), and how it is refused.

Granian itself answers 400 to a handshake of another version or without a key.
"""

import binascii
from base64 import b64decode
from typing import Any, Final

from api.answers import NO_STORE, Header
from api.heads import is_host
from api.problems import problem_answer
from core.errors import BadInput

__all__ = ["deny", "wrong_handshake"]

KEY_BYTES: Final = 16


def wrong_handshake(scope: dict[str, Any]) -> BadInput | None:
    """What is wrong with a handshake, if anything is."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if scope["http_version"] != "1.1":
        return BadInput("A WebSocket is opened over HTTP/1.1.")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not is_host(hosts[0]):
        return BadInput("The header Host must be given once, and be well-formed.", parameter="Host")
    keys = [value for name, value in headers if name == b"sec-websocket-key"]
    if len(keys) != 1 or not _is_key(keys[0]):
        return BadInput("Sec-WebSocket-Key must be 16 bytes in Base64, once.", parameter="Sec-WebSocket-Key")
    return None


def _is_key(text: bytes) -> bool:
    try:
        return len(b64decode(text, validate=True)) == KEY_BYTES
    except binascii.Error:
        return False


async def deny(receive: Any, send: Any, error: Exception, request_id: bytes, more: tuple[Header, ...] = ()) -> int:
    """Answer a handshake with a problem document, and `more` headers, instead of a socket; its status."""
    await receive()
    answer = problem_answer(error)
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
        NO_STORE,
        (b"x-request-id", request_id),
        (b"x-content-type-options", b"nosniff"),
        *more,
        (b"connection", b"close"),
    ]
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})
    return answer.status
