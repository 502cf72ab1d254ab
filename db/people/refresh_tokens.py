"""The text of refresh tokens: 256 random bits, known to the database by their hash only."""

import secrets
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from core.errors import Unauthenticated

__all__ = ["PresentedToken", "is_token", "new_token", "refused", "seal", "unseal"]

PREFIX: Final = "tfr_"
TOKEN_BYTES: Final = 32
TOKEN_LENGTH: Final = len(PREFIX) + 43
NONCE_BYTES: Final = 12


class PresentedToken(Struct, frozen=True):
    """A presented token with the hash it is stored under, and who owns it."""

    value: str
    hash: bytes
    user_id: UUID


def is_token(value: str) -> bool:
    """Whether it looks like one."""
    return len(value) == TOKEN_LENGTH and value.isascii() and value.startswith(PREFIX)


def new_token() -> str:
    """One more."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def seal(token: PresentedToken, successor: str) -> bytes:
    """The successor, readable only with the token itself: the database has nothing but its hash."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(_sealing_key(token.value)).encrypt(nonce, successor.encode(), token.hash)


def unseal(token: PresentedToken, sealed: bytes) -> str:
    """Raises Unauthenticated when the sealed bytes were tampered with."""
    try:
        plain = AESGCM(_sealing_key(token.value)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], token.hash)
    except InvalidTag as error:
        raise refused() from error
    return plain.decode()


def _sealing_key(token: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"taskforge refresh successor").derive(token.encode())


def refused() -> Unauthenticated:
    """The one answer to every token that is not good."""
    return Unauthenticated("The refresh token is unknown, expired or revoked.")
