"""Replies that hold secrets, as they are kept for replays: sealed under the keyset, and good for ten minutes only."""

from typing import Final
from uuid import UUID

from msgspec import structs

from core.ask import Ask
from core.writes import StoredReply
from db.keyset import BrokenSeal, Keyset

__all__ = ["SEALED_MINUTES", "SealedReplies", "is_sealed"]

SEALED_MINUTES: Final = 10
_MARK: Final = ("sealed", "1")
_ID_BYTES: Final = 8
"""A signature begins with the id of its key."""


class SealedReplies:
    """Seals and opens replies; says who asks where nobody has signed in, and what a body with a password stands for."""

    def __init__(self, keyset: Keyset) -> None:
        self._keyset = keyset

    def anonymous(self, route: str, address: str) -> UUID:
        """To whom the keys belong that come with this address before anybody has signed in; it does not tell which."""
        signature = self._keyset.sign("sealed-answers", f"principal\0{route}\0{address.lower()}".encode())
        return UUID(bytes=signature[_ID_BYTES : _ID_BYTES + 16])

    def fingerprint(self, plain: bytes) -> bytes:
        """A fingerprint (32 bytes) from which nobody without the keyset can guess the password in the body."""
        return self._keyset.sign("sealed-answers", b"fingerprint\0" + plain)[_ID_BYTES:]

    def seal(self, ask: Ask, reply: StoredReply) -> StoredReply:
        """The reply to store for this ask."""
        body = self._keyset.seal("sealed-answers", reply.body, _bound(ask))
        return structs.replace(reply, headers=(*reply.headers, _MARK), body=body)

    def open(self, ask: Ask, stored: StoredReply) -> StoredReply | None:
        """The reply as it was answered, or None when its key has left the keyset."""
        try:
            body = self._keyset.open("sealed-answers", stored.body, _bound(ask))
        except BrokenSeal:
            return None
        headers = tuple(header for header in stored.headers if header != _MARK)
        return structs.replace(stored, headers=headers, body=body)


def is_sealed(stored: StoredReply) -> bool:
    """Whether the stored reply must be opened before anybody sees it."""
    return _MARK in stored.headers


def _bound(ask: Ask) -> bytes:
    return ask.principal.id.bytes + (ask.key or "").encode()
