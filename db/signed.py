"""Our values and messages in Valkey, signed: whoever can write there can take away or hold back, but not speak for us.

A signature covers what kind of thing it is, under which key or on which channel, of which team, epoch and seq, and
until when. Genuine old ones stay genuine for a while; seq and epoch make them harmless.
"""

import struct
import time
from collections.abc import Callable
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from db.keyset import Keyset

__all__ = ["Forged", "Kind", "Signed", "Signer", "peek"]

Kind = Literal["snapshot", "commits", "revocations", "epoch", "fetched", "notices"]

MAGIC: Final = b"TFS1"
SIGNATURE_BYTES: Final = 40
NO_TEAM: Final = UUID(int=0)
# Magic, end of validity (unix seconds), epoch, seq. `db/snapshots.py` reads the last two inside Valkey, where they are.
HEADER: Final = struct.Struct(">4sQIQ")
BODY_AT: Final = HEADER.size + SIGNATURE_BYTES


class Forged(ValueError):
    """Not signed by this installation for this place, changed, or no longer valid."""


class Signed(Struct, frozen=True):
    """What was signed. `epoch` and `seq` are 0 where there are none."""

    epoch: int
    seq: int
    body: bytes


class Signer:
    """Signs and verifies under the keyset's purpose `valkey`. `now` gives unix seconds."""

    def __init__(self, keys: Keyset, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now

    def sign(
        self,
        kind: Kind,
        key: bytes,
        body: bytes,
        *,
        seconds: float,
        team_id: UUID = NO_TEAM,
        epoch: int = 0,
        seq: int = 0,
    ) -> bytes:
        """The body with its header and signature, good for so many seconds under this key or on this channel."""
        header = HEADER.pack(MAGIC, int(self._now() + seconds), epoch, seq)
        return header + self._keys.sign("valkey", _message(kind, key, team_id, header, body)) + body

    def verify(self, kind: Kind, key: bytes, data: bytes, *, team_id: UUID = NO_TEAM) -> Signed:
        """What `sign` was given for the same place. Raises Forged."""
        epoch, seq = peek(data)
        header, signature, body = data[: HEADER.size], data[HEADER.size : BODY_AT], data[BODY_AT:]
        if not self._keys.verify("valkey", _message(kind, key, team_id, header, body), signature):
            raise Forged("not signed by this installation for this place")
        if HEADER.unpack(header)[1] < self._now():
            raise Forged("no longer valid")
        return Signed(epoch, seq, body)


def peek(data: bytes) -> tuple[int, int]:
    """Epoch and seq as the header claims them, to put aside cheaply what would be no news. Raises Forged."""
    if len(data) < BODY_AT:
        raise Forged("too short")
    magic, _, epoch, seq = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Forged("another format")
    return epoch, seq


def _message(kind: Kind, key: bytes, team_id: UUID, header: bytes, body: bytes) -> bytes:
    """Everything that is signed, so that no two places or bodies give the same bytes."""
    return b"%s\0%d\0%s%s%s%s" % (kind.encode(), len(key), key, team_id.bytes, header, body)
