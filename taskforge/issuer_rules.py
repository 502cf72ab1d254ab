"""What is wrong with `TASKFORGE_AUTH__ISSUERS` though each part of it is well-formed."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from api.auth.fetching import is_loopback
from api.issuer_settings import IssuerSettings
from api.settings import AuthSettings

__all__ = ["bad_issuers"]

NAME: Final = "TASKFORGE_AUTH__ISSUERS"
MIN_SECRET_BYTES: Final = 32
"""A shorter key is no key for HS256 (RFC 7518, 3.2)."""


def bad_issuers(auth: AuthSettings, *, production: bool) -> Iterator[str]:
    """One line for each rule that is broken, naming the issuer and showing no secret."""
    for field in ("name", "issuer"):
        given = [getattr(one, field) for one in auth.issuers]
        if len(set(given)) < len(given):
            yield f"{NAME}: has the same {field} twice"
    for one in auth.issuers:
        if one.issuer == auth.issuer:
            yield f"{NAME}: {one.name} must not be TASKFORGE_AUTH__ISSUER, which is us"
        if one.name == "tokens":
            yield f"{NAME}: an issuer must not be called tokens: that is a path of ours"
        if one.audience is None and one.client_id is None:
            yield f"{NAME}: {one.name} needs an audience (for its tokens) or a client_id (to sign in by it)"
        yield from _bad_keys(one)
        yield from _bad_addresses(one, production=production)
        yield from _bad_client(one)


def _bad_keys(one: IssuerSettings) -> Iterator[str]:
    """A key is either everybody's to read or a secret: an issuer with both would let one pass for the other."""
    if one.secret is None:
        if "HS256" in one.algorithms:
            yield f"{NAME}: {one.name} needs a secret for HS256"
        return
    if set(one.algorithms) != {"HS256"}:
        yield f'{NAME}: {one.name} has a secret, so that its algorithms must be ["HS256"]'
    if one.jwks_url is not None:
        yield f"{NAME}: {one.name} has a secret and a jwks_url: give one of the two"
    if len(one.secret) < MIN_SECRET_BYTES:
        yield f"{NAME}: the secret of {one.name} must have at least {MIN_SECRET_BYTES} bytes"


def _bad_addresses(one: IssuerSettings, *, production: bool) -> Iterator[str]:
    discovered = one.client_id is not None or (one.secret is None and one.jwks_url is None)
    for field, url in (("issuer", one.issuer if discovered else None), ("jwks_url", one.jwks_url)):
        if url is None:
            continue
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            yield f"{NAME}: the {field} of {one.name} is not a URL"
            continue
        local = not production and host is not None and is_loopback(host)
        if not host or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
            yield f"{NAME}: the {field} of {one.name} must be https:// (http:// only on loopback, in development)"
        elif parts.username is not None or parts.fragment or (field == "issuer" and parts.query):
            yield f"{NAME}: the {field} of {one.name} must be a plain URL"


def _bad_client(one: IssuerSettings) -> Iterator[str]:
    if one.client_id is None:
        if one.client_secret is not None:
            yield f"{NAME}: {one.name} has a client_secret, and no client_id"
        return
    if one.secret is not None:
        yield f"{NAME}: nobody can sign in by {one.name}: it signs with a shared secret"
    if one.audience == one.client_id:
        yield f"{NAME}: the audience of {one.name} must not be its client_id: ID tokens would pass as access tokens"
