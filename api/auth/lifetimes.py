"""How long a live connection may stay open though nobody closes it, and where browsers may open one from."""

import binascii
import random
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import Struct

from api.auth.tokens import AccessTokens, key_in
from core.principal import Principal
from streams.feeds.channel import EndReason

__all__ = ["Lifetime", "jittered", "origin_allowed", "seconds_left", "token_ends_at"]

JITTER: Final = 0.2


class _Claims(Struct):
    exp: float


_claims = msgspec.json.Decoder(_Claims)


def token_ends_at(authorization: bytes) -> float | None:
    """When a bearer token that was already verified expires (Unix seconds); None when it is no JWT with an `exp`."""
    parts = authorization[7:].strip().split(b".")
    try:
        return _claims.decode(urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4))).exp
    except (IndexError, binascii.Error, msgspec.MsgspecError):
        return None


def seconds_left(authorization: bytes, tokens: AccessTokens, now: float) -> float:
    """How long the access token or API key in a value is good for that was accepted at `now` (Unix seconds)."""
    if key_in(authorization) is not None:
        return tokens.seconds_left(authorization)
    ends_at = token_ends_at(authorization)
    return tokens.expires_in if ends_at is None else ends_at - now


def jittered(seconds: float) -> float:
    """The duration give or take 20 %, so that connections that began together do not end together."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (spreads load, hides nothing)


class Lifetime:
    """A connection's guard: it ends with its session or key, its access token, or after `cap`, whichever is first.

    Call it with monotonic seconds for the reason to end, or None.
    """

    def __init__(
        self, principal: Principal, token_seconds: float, cap_seconds: float, is_revoked: Callable[[UUID | None], bool]
    ) -> None:
        now = time.monotonic()
        self.principal = principal
        self._token_ends = now + token_seconds
        self._ends = now + jittered(cap_seconds)
        self._is_revoked = is_revoked

    def renew(self, principal: Principal, token_seconds: float) -> None:
        """Go on under a new token; the cap stays."""
        self.principal = principal
        self._token_ends = time.monotonic() + token_seconds

    def __call__(self, now: float) -> EndReason | None:
        if self._is_revoked(self.principal.credential_id):
            return "revoked"
        if now >= self._token_ends:
            return "expired"
        return "restart" if now >= self._ends else None


def origin_allowed(origin: bytes | None, host: bytes | None, allowed: Iterable[str]) -> bool:
    """Whether a page of this origin may connect: none named (no browser), the same host, or an allowed one."""
    if origin is None:
        return True
    text = origin.decode("latin-1").lower()
    if text in {entry.rstrip("/").lower() for entry in allowed}:
        return True
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return host is not None and parts.scheme in {"http", "https"} and parts.netloc == host.decode("latin-1").lower()
