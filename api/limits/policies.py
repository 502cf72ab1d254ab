"""Policies: how many requests in which window, as headers say it (draft-ietf-httpapi-ratelimit-headers).

The headers are structured fields (RFC 9651): `RateLimit-Policy: "login";q=10;w=60` is the policy, with its quota and
its window in seconds, and `RateLimit: "login";r=7;t=41` what remains of it for the next so many seconds.
"""

from typing import Final, Literal

from msgspec import Struct

from api.answers import Header
from api.limits.settings import LimitSettings

__all__ = ["BY_PRINCIPAL", "WITH_ACCOUNT", "LimitClass", "Policy", "PolicyName", "RateHeaders", "policies_of"]

LimitClass = Literal["login", "signup", "refresh", "reset", "invitations", "accept", "password"]
"""What an `Operation` may be, beside ordinary: each has a stricter policy of its own."""

PolicyName = Literal[
    "default",
    "address",
    "login",
    "login-account",
    "signup",
    "refresh",
    "reset",
    "reset-account",
    "invitations",
    "accept",
    "password",
]
"""`default` counts principals, `address` client addresses, `…-account` pairs of an address and an account."""

BY_PRINCIPAL: Final[frozenset[LimitClass]] = frozenset({"invitations", "password"})
"""These classes count principals; all others count client addresses."""
WITH_ACCOUNT: Final[dict[LimitClass, PolicyName]] = {"login": "login-account", "reset": "reset-account"}
"""These count pairs of a client address and an account as well."""

RateHeaders = tuple[Header, ...]
"""`RateLimit-Policy` and `RateLimit`, or nothing where no policy is on."""


class Policy(Struct, frozen=True):
    """`quota` requests in `seconds`; `value` is what `RateLimit-Policy` says of it."""

    name: PolicyName
    quota: int
    seconds: int

    @property
    def value(self) -> bytes:
        return b'"%s";q=%d;w=%d' % (self.name.encode(), self.quota, self.seconds)

    def headers(self, remaining: int, seconds: int) -> RateHeaders:
        """Both headers of an answer after which so many requests remain for so many seconds."""
        left = b'"%s";r=%d;t=%d' % (self.name.encode(), remaining, seconds)
        return ((b"ratelimit-policy", self.value), (b"ratelimit", left))


def policies_of(settings: LimitSettings) -> dict[PolicyName, Policy]:
    """The policies that are on."""
    limits: dict[PolicyName, tuple[int, int]] = {
        "default": (settings.principal, settings.principal_seconds),
        "address": (settings.address, settings.address_seconds),
        "login": (settings.login, settings.login_seconds),
        "login-account": (settings.login_account, settings.login_account_seconds),
        "signup": (settings.signup, settings.signup_seconds),
        "refresh": (settings.refresh, settings.refresh_seconds),
        "reset": (settings.reset, settings.reset_seconds),
        "reset-account": (settings.reset_account, settings.reset_account_seconds),
        "invitations": (settings.invitations, settings.invitations_seconds),
        "accept": (settings.accept, settings.accept_seconds),
        "password": (settings.password, settings.password_seconds),
    }
    return {name: Policy(name, quota, seconds) for name, (quota, seconds) in limits.items() if quota}
