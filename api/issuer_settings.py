"""Other issuers whose users may come in: what an operator says of each. Read from the environment by
`taskforge.settings`; `taskforge.issuer_rules` says which do not fit together."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from core.secret import Secret

__all__ = ["Algorithm", "IssuerSettings", "Issuers"]

Algorithm = Literal[
    "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "HS256"
]  # fmt: skip
"""Signature algorithms of JWS (RFC 7518, 3.1; RFC 8037). `none` is not among them."""

USUAL: Final[tuple[Algorithm, ...]] = ("ES256", "RS256")


class IssuerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer. `audience` is set where its access tokens are accepted, `client_id` where people sign in by it.

    Its keys come from `jwks_url`, by default the one that its discovery document names; with a `secret` they are that.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
    issuer: Annotated[str, Meta(min_length=1, max_length=300)]
    audience: Annotated[str, Meta(min_length=1, max_length=300)] | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = USUAL
    jwks_url: str | None = None
    secret: Secret | None = None
    client_id: Annotated[str, Meta(min_length=1, max_length=300)] | None = None
    client_secret: Secret | None = None
    label: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    emails_verified: bool = False
    """Every address in its tokens is a verified one, though they do not say so."""

    @property
    def shown(self) -> str:
        """What people read on the button."""
        return self.label or self.name


Issuers = tuple[IssuerSettings, ...]
