"""Idempotency-Key: what it may look like, what it stands for, and how an answer is stored beside its effect.

After draft-ietf-httpapi-idempotency-key-header; the scope is the principal, never the bearer string.
"""

import hashlib
from collections.abc import Callable
from typing import Final
from uuid import UUID

from actors.envelope import CommandResult, KeySlot
from api.answers import Answer
from api.calls import Call
from api.problems import problem_answer
from core.errors import BadInput, DomainError
from core.writes import StoredReply

__all__ = ["fingerprint", "key_of", "slot_for"]

SHORTEST: Final = 16
LONGEST: Final = 255
_KEY_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def key_of(call: Call) -> str | None:
    """The key, bare or as an RFC 8941 string; None when the header is absent. Raises BadInput."""
    given = call.headers.get(b"idempotency-key")
    if given is None:
        return None
    key = given.strip()
    if len(key) >= 2 and key[:1] == key[-1:] == b'"':
        key = key[1:-1]
    if not SHORTEST <= len(key) <= LONGEST or key.translate(None, _KEY_BYTES):
        raise BadInput("The Idempotency-Key must be 16 to 255 of A-Z, a-z, 0-9, - and _.", parameter="Idempotency-Key")
    return key.decode("ascii")


def fingerprint(call: Call, body: bytes) -> bytes:
    """SHA-256 of method, route template, path ids, query, If-Match and body."""
    parts = (
        call.method.encode(),
        call.route.encode(),
        *(str(value).encode() for value in call.values.values()),
        call.query,
        call.headers.get(b"if-match", b""),
        body,
    )
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def slot_for(call: Call, body: bytes, render: Callable[[CommandResult], Answer]) -> KeySlot | None:
    """What the actor stores under the request's key; None when it has none. Raises BadInput."""
    key = key_of(call)
    if key is None:
        return None

    def stored(answer: CommandResult | DomainError) -> StoredReply:
        if isinstance(answer, DomainError):
            return problem_answer(answer).stored(0)
        return render(answer).stored(answer.seq)

    principal: UUID = call.principal().user_id
    return KeySlot(principal, key, fingerprint(call, body), stored)
