"""How answers are put together. Bodies are bytes by the time they get here; nothing is encoded twice."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from blacksheep import Content, Response
from msgspec import Struct

from core.writes import StoredReply

__all__ = ["JSON", "PROBLEM", "Answer", "about_team", "empty", "encode", "epoch_header", "json", "replay"]

JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"

Header = tuple[bytes, bytes]

encode = msgspec.json.Encoder().encode


NO_STORE: Final[Header] = (b"cache-control", b"no-store")
"""What nobody may keep: secrets, and what is true for a moment."""


class Answer(Struct, frozen=True, gc=False):
    """A finished answer without the headers that the edge puts on every one. `media_type` is empty with no body."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()
    media_type: bytes = JSON

    def response(self) -> Response:
        """The same as BlackSheep knows it."""
        content = Content(self.media_type, self.body) if self.body else None
        return Response(self.status, list(self.headers), content)

    def stored(self, seq: int) -> StoredReply:
        """The same as it is kept for replays of its idempotency key."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        if self.body:
            headers.append(("content-type", self.media_type.decode("latin-1")))
        return StoredReply(self.status, tuple(headers), self.body, seq)


def about_team(name: bytes, seq: int, epoch: int, more: Iterable[Header] = ()) -> tuple[Header, ...]:
    """`TaskForge-Team`, `TaskForge-Seq` and `TaskForge-Epoch`, after the headers of the answer itself."""
    return (*more, (b"taskforge-team", name), (b"taskforge-seq", b"%d" % seq), epoch_header(epoch))


def epoch_header(epoch: int) -> Header:
    """`TaskForge-Epoch`. Hardly any team is beyond its first one."""
    return _FIRST_EPOCH if epoch == 1 else (b"taskforge-epoch", b"%d" % epoch)


_FIRST_EPOCH: Final[Header] = (b"taskforge-epoch", b"1")


def replay(stored: StoredReply, *, replayed: bool = True) -> Answer:
    """A stored reply as an answer; with `replayed`, marked as one."""
    media_type, headers = b"", list[Header]()
    for name, value in stored.headers:
        if name == "content-type":
            media_type = value.encode("latin-1")
        else:
            headers.append((name.encode("latin-1"), value.encode("latin-1")))
    if replayed:
        headers.append((b"idempotent-replayed", b"true"))
    return Answer(stored.status, stored.body, tuple(headers), media_type)


def json(status: int, value: Any, headers: Iterable[Header] = ()) -> Response:
    """Anything msgspec can encode (or bytes that are JSON already) as an answer."""
    body = value if isinstance(value, bytes) else encode(value)
    return Answer(status, body, tuple(headers)).response()


def empty(status: int = 204, headers: Iterable[Header] = ()) -> Response:
    """An answer without a body."""
    return Answer(status, b"", tuple(headers), b"").response()
