"""What an API process answers once it must not serve any more, until its server ends it: 503, whatever is asked."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from api.problems import problem_answer
from api.request_ids import request_id
from core.errors import ShuttingDown

__all__ = ["closed"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

RESTART: Final = 1012
_ANSWER: Final = problem_answer(ShuttingDown("This server is being replaced."))


async def closed(scope: Scope, _receive: Receive, send: Send) -> None:
    """An ASGI application. WebSockets are refused with the code of a restart."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": RESTART})
        return
    given = dict(scope["headers"]).get(b"x-request-id")
    headers = [
        (b"content-type", _ANSWER.media_type),
        (b"content-length", b"%d" % len(_ANSWER.body)),
        *_ANSWER.headers,
        (b"x-request-id", request_id(given)),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": _ANSWER.status, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER.body})
