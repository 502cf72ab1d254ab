"""Tokens that people are sent or shown, of 256 bits: how they look, what is stored of them, and those of mails.

A mail's token is the HMAC of its purpose and job under the keyset, so that every attempt to send it writes the same
bytes, and neither a table nor a topic holds it.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from uuid import UUID

from db.keyset import Keyset

__all__ = ["mail_token", "mail_token_of_hash", "shown", "token_hash"]


def shown(prefix: str, secret: bytes) -> str:
    """A token as text."""
    return prefix + urlsafe_b64encode(secret).rstrip(b"=").decode()


def token_hash(token: str) -> bytes:
    """What is stored of a token (32 bytes). It has 256 bits, so that nothing slower is needed."""
    return hashlib.sha256(token.encode()).digest()


def mail_token(keyset: Keyset, prefix: str, purpose: str, job_id: UUID) -> str:
    """The token of a mail that is asked for now."""
    return _mail_tokens(keyset, prefix, purpose, job_id)[0]


def mail_token_of_hash(keyset: Keyset, prefix: str, purpose: str, job_id: UUID, wanted: bytes) -> str | None:
    """The token of a mail job that has this hash, under whichever key of the set; None when its key has left."""
    tokens = _mail_tokens(keyset, prefix, purpose, job_id)
    return next((token for token in tokens if hmac.compare_digest(token_hash(token), wanted)), None)


def _mail_tokens(keyset: Keyset, prefix: str, purpose: str, job_id: UUID) -> list[str]:
    message = purpose.encode() + b"\0" + job_id.bytes
    return [shown(prefix, digest) for digest in keyset.digests("mail", message)]
