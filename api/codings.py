"""Content codings (RFC 9110, 8.4): which one a client gets, and the coded bytes, made once while they are true.

Only `gzip` for now. Coded are lists, boards and other reads of more than 1 KiB. A coded answer has the weak form of the
ETag, because it is not the same to the byte (8.8.3.3); what has an ETag for `If-Match`, a task or a team, is sent as it
is. Compressing lets go of the interpreter, so it runs in a thread; boards wait for each other there, as do pages, so
that no board holds up a page.
"""

import asyncio
import zlib
from collections.abc import MutableMapping
from typing import Final, TypeAlias

from msgspec import structs

from api.answers import Answer, Header

__all__ = ["LEAST_BYTES", "VARY", "Codings", "Coded", "prefers_gzip"]

Coded: TypeAlias = MutableMapping[int, tuple[bytes, bytes]]
"""Bodies with their coded form, by the identity of the body."""

LEAST_BYTES: Final = 1024
HERE_BYTES: Final = 8 * 1024
"""Less is compressed at once: it takes a tenth of a millisecond, a thread as long again."""
BOARD_BYTES: Final = 256 * 1024
"""From here on speed counts: level 1 takes a third of the time of level 6, for a fifth more bytes."""
KEPT: Final = 1_024
KEPT_BODIES: Final = 256
"""Of one team at one seq."""
VARY: Final = (b"vary", b"accept-encoding")
_GZIP: Final = (b"content-encoding", b"gzip")
_GZIP_WINDOW: Final = 31


class Codings:
    """What the edge asks about each answer that may be coded."""

    def __init__(self) -> None:
        self._preferences: dict[bytes, bool] = {}
        self._boards, self._pages = asyncio.Lock(), asyncio.Lock()

    async def coded(self, accepted: bytes, answer: Answer, known: Coded | None) -> Answer:
        """The answer in the coding that the header `Accept-Encoding` prefers; `known` keeps it while it is true."""
        body = answer.body
        if len(body) <= LEAST_BYTES or not self._prefers(accepted):
            return answer
        packed = await self._pack(body) if known is None else await self._known(body, known)
        return structs.replace(answer, body=packed, headers=(*map(_weakened, answer.headers), _GZIP))

    def _prefers(self, accepted: bytes) -> bool:
        preference = self._preferences.get(accepted)
        if preference is None:
            if len(self._preferences) >= KEPT:
                self._preferences.clear()
            preference = self._preferences[accepted] = prefers_gzip(accepted)
        return preference

    async def _known(self, body: bytes, known: Coded) -> bytes:
        found = known.get(id(body))
        if found is None or found[0] is not body:
            async with self._boards if len(body) >= BOARD_BYTES else self._pages:
                found = known.get(id(body))  # Whoever was here before may have made it.
                if found is None or found[0] is not body:
                    if len(known) >= KEPT_BODIES:
                        known.clear()
                    found = known[id(body)] = (body, await self._pack(body))
        return found[1]

    async def _pack(self, body: bytes) -> bytes:
        return _gzip(body) if len(body) <= HERE_BYTES else await asyncio.to_thread(_gzip, body)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1 if len(body) >= BOARD_BYTES else 6, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(body) + packer.flush()


def _weakened(header: Header) -> Header:
    name, value = header
    return (name, b"W/" + value) if name == b"etag" and not value.startswith(b"W/") else header


def prefers_gzip(accepted: bytes) -> bool:
    """Whether `Accept-Encoding` (RFC 9110, 12.5.3) allows gzip, and does not like the plain form better."""
    weights: dict[bytes, float] = {}
    for part in accepted.lower().split(b","):
        coding, _, parameter = part.partition(b";")
        weights[coding.strip()] = _weight(parameter.strip())
    gzip = weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0)))
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)


def _weight(parameter: bytes) -> float:
    """The weight of a part; one that is malformed is not wanted."""
    if not parameter:
        return 1.0
    name, _, value = parameter.partition(b"=")
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip() == b"q" and 0.0 <= weight <= 1.0 else 0.0
