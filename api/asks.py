"""How an HTTP request becomes an ask: who asks, under which Idempotency-Key, and what that key stands for.

After draft-ietf-httpapi-idempotency-key-header; the key belongs to the principal, never to the bearer string.
"""

import hashlib
from typing import Final

from api.calls import Call
from core.ask import Ask
from core.errors import BadInput
from core.principal import Principal
from db.sealed_replies import SealedReplies

__all__ = ["anonymous_ask", "ask_about_file", "ask_of", "key_of", "unkeyed_ask"]

SHORTEST: Final = 16
LONGEST: Final = 255
_KEY_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


async def ask_of(call: Call) -> Ask:
    """The ask that the request makes; from now on its team answers.

    The body is read whether it means anything or not, so that its length counts. Raises Unauthenticated, BadInput,
    BodyTooLarge, BodyTooSlow.
    """
    key, principal, body = key_of(call), call.principal(), await call.body()
    ask = call.ask = Ask(principal, key, b"" if key is None else _fingerprint(call, body), call.traceparent)
    return ask


def ask_about_file(call: Call, name: str, media_type: str, digest: bytes) -> Ask:
    """The ask that a form with a file makes: its fingerprint has the file's SHA-256 in place of the body."""
    key, principal = key_of(call), call.principal()
    said = b"\0".join((name.encode(), media_type.encode(), digest))
    ask = call.ask = Ask(principal, key, b"" if key is None else _fingerprint(call, said), call.traceparent)
    return ask


async def anonymous_ask(call: Call, address: str, sealed: SealedReplies) -> Ask:
    """The ask of somebody who has not signed in: the key belongs to the route and the address that they give."""
    key, body = key_of(call), await call.body()
    principal = Principal.of_user(sealed.anonymous(call.route, address))
    fingerprint = b"" if key is None else sealed.fingerprint(_fingerprint(call, body))
    ask = call.ask = Ask(principal, key, fingerprint, call.traceparent)
    return ask


def unkeyed_ask(call: Call) -> Ask:
    """The ask of a request whose answer is never stored: a key of its stands for nothing. Raises Unauthenticated."""
    ask = call.ask = Ask(call.principal(), traceparent=call.traceparent)
    return ask


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


def _fingerprint(call: Call, body: bytes) -> bytes:
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
