"""Content codings (RFC 9110, 8.4): which one a client gets, and the coded bytes, made once while they are true.

`zstd` (RFC 8878), `br` (RFC 7932) and `gzip` (RFC 1952), whichever the client likes best, and in this order where it
likes several alike: zstd takes a tenth of the time of the others, for as few bytes. Coded are lists, boards and other
reads of more than 1 KiB. A coded answer has the weak form of the ETag, because it is not the same to the byte
(8.8.3.3); what has an ETag for `If-Match`, a task or a team, is sent as it is. Compressing lets go of the interpreter,
so it runs in a thread; boards wait for each other there, as do pages, so that no board holds up a page.
"""

import asyncio
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Final, TypeAlias

import brotli
from msgspec import structs

from api.accept import weights
from api.answers import Answer, Header

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["LEAST_BYTES", "VARY", "Codings", "Coded", "preferred"]

Coded: TypeAlias = MutableMapping[tuple[bytes, int], tuple[bytes, bytes]]
"""Bodies with their coded form, by the coding and the identity of the body."""

Packer: TypeAlias = Callable[[bytes], Iterator[bytes]]
"""The coded form of a body, piece by piece."""

LEAST_BYTES: Final = 1024
HERE_BYTES: Final = 8 * 1024
"""Less is compressed at once: it takes a tenth of a millisecond, a thread as long again."""
BOARD_BYTES: Final = 256 * 1024
"""From here on speed counts. A board of 10 MB takes zstd 25 ms, br 45 ms and gzip 130 ms at level 1; at the levels of
pages br and gzip would take half a second, for a tenth or a quarter fewer bytes."""
PART_BYTES: Final = 256 * 1024
"""Of a board, compressed in one go: 0.7 ms with zstd, 3 with gzip."""
KEPT: Final = 1_024
KEPT_BODIES: Final = 256
"""Of one team at one seq."""
VARY: Final = (b"vary", b"accept-encoding")
_GZIP_WINDOW: Final = 31


class Codings:
    """What the edge asks about each answer that may be coded."""

    def __init__(self) -> None:
        self._preferences: dict[bytes, bytes] = {}
        self._boards, self._pages = asyncio.Lock(), asyncio.Lock()

    async def coded(self, accepted: bytes, answer: Answer, known: Coded | None) -> Answer:
        """The answer in the coding that the header `Accept-Encoding` prefers; `known` keeps it while it is true."""
        body = answer.body
        if len(body) <= LEAST_BYTES or not (coding := self._preferred(accepted)):
            return answer
        packed = await _pack(coding, body) if known is None else await self._known(coding, body, known)
        named = (b"content-encoding", coding)
        return structs.replace(answer, body=packed, headers=(*map(_weakened, answer.headers), named))

    def _preferred(self, accepted: bytes) -> bytes:
        preference = self._preferences.get(accepted)
        if preference is None:
            if len(self._preferences) >= KEPT:
                self._preferences.clear()
            preference = self._preferences[accepted] = preferred(accepted)
        return preference

    async def _known(self, coding: bytes, body: bytes, known: Coded) -> bytes:
        key = (coding, id(body))
        found = known.get(key)
        if found is None or found[0] is not body:
            async with self._boards if len(body) >= BOARD_BYTES else self._pages:
                found = known.get(key)  # Whoever was here before may have made it.
                if found is None or found[0] is not body:
                    if len(known) >= KEPT_BODIES:
                        known.clear()
                    found = known[key] = (body, await _pack(coding, body))
        return found[1]


async def _pack(coding: bytes, body: bytes) -> bytes:
    pack = PACKERS[coding]
    return _packed(pack, body) if len(body) <= HERE_BYTES else await asyncio.to_thread(_packed, pack, body)


def _packed(pack: Packer, body: bytes) -> bytes:
    """With a pause after each part of a board, as long as the part took: a thread that never waits would keep the core
    from the event loop, and from those who bring its requests."""
    pieces, before = list[bytes](), time.thread_time()
    for piece in pack(body):
        pieces.append(piece)
        if len(body) >= BOARD_BYTES:
            time.sleep(max(0.0, time.thread_time() - before))
            before = time.thread_time()
    return b"".join(pieces)


def _zstd(body: bytes) -> Iterator[bytes]:
    # Neither level has a window above 8 MiB, which is the most that a client must have room for (RFC 9659).
    if len(body) < BOARD_BYTES:
        yield zstd.compress(body, 3)
        return
    packer = zstd.ZstdCompressor(1)
    packer.set_pledged_input_size(len(body))
    yield from map(packer.compress, _parts(body))
    yield packer.flush()


def _br(body: bytes) -> Iterator[bytes]:
    if len(body) < BOARD_BYTES:
        yield brotli.compress(body, quality=5)
        return
    packer = brotli.Compressor(quality=1)
    yield from map(packer.process, _parts(body))
    yield packer.finish()


def _gzip(body: bytes) -> Iterator[bytes]:
    packer = zlib.compressobj(1 if len(body) >= BOARD_BYTES else 6, zlib.DEFLATED, _GZIP_WINDOW)
    yield from map(packer.compress, _parts(body))
    yield packer.flush()


def _parts(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    return (view[start : start + PART_BYTES] for start in range(0, len(view), PART_BYTES))


PACKERS: Final[Mapping[bytes, Packer]] = {b"zstd": _zstd, b"br": _br, b"gzip": _gzip}
"""What there is, in the order in which we like it."""


def _weakened(header: Header) -> Header:
    name, value = header
    return (name, b"W/" + value) if name == b"etag" and not value.startswith(b"W/") else header


def preferred(accepted: bytes) -> bytes:
    """The coding that `Accept-Encoding` likes best; empty when it likes the plain form better, or none of ours."""
    weight_of = weights(accepted)
    if b"x-gzip" in weight_of:  # Another name of the same (8.4.1.3).
        weight_of.setdefault(b"gzip", weight_of[b"x-gzip"])
    others = weight_of.get(b"*", 0.0)
    best = max(PACKERS, key=lambda coding: weight_of.get(coding, others))  # The first of those that are liked alike.
    weight = weight_of.get(best, others)
    return best if weight > 0 and weight >= weight_of.get(b"identity", 0.0) else b""
