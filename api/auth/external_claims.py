"""What the claims of another issuer's token must say, and what is believed of them (RFC 7519, RFC 9068, OpenID).

An identity is issuer and subject, never an address: an address counts only where the issuer says that it is verified.
"""

import hmac
import math
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256, sha384, sha512
from typing import Any, Final

from api.auth.emails import clean_email, clean_name
from api.auth.jws import BadToken, Jws
from api.issuer_settings import IssuerSettings
from core.errors import BadInput
from db.people.external_identities import ExternalIdentity

__all__ = ["SKEW_SECONDS", "access_identity", "expiry_of", "identity_in", "login_claims"]

SKEW_SECONDS: Final = 60
"""How far an issuer's clock may be from ours."""
LONGEST_SUBJECT: Final = 255
LATEST: Final = 253_402_300_800
"""The year 10000 in Unix seconds: no token lives longer, and no computer's clock says more."""
TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
"""Of access tokens; ID tokens have another audience. RFC 9068, 2.1, and RFC 7515, 4.1.9: case does not count."""
NAMELESS: Final = "Somebody new"
_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512, "DSA": sha512}


def access_identity(issuer: IssuerSettings, token: Jws, now: float) -> ExternalIdentity:
    """Who sends an access token whose signature is good. Raises BadToken."""
    kind, claims = token.header.get("typ", "jwt"), token.claims()
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise BadToken("typ")
    if issuer.audience is None or issuer.audience not in _audiences(claims):
        raise BadToken("aud")
    _check_common(issuer, claims, now)
    return identity_in(issuer, claims)


def login_claims(
    issuer: IssuerSettings, token: Jws, now: float, *, nonce: str, access_token: str | None
) -> dict[str, Any]:
    """The claims of an ID token whose signature is good (OpenID Connect Core, 3.1.3.7). Raises BadToken."""
    claims = token.claims()
    audiences = _audiences(claims)
    if issuer.client_id is None or issuer.client_id not in audiences:
        raise BadToken("aud")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != issuer.client_id:
        raise BadToken("azp")
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(errors="replace"), nonce.encode()):
        raise BadToken("nonce")
    if "at_hash" in claims and (access_token is None or claims["at_hash"] != _hash_of(token, access_token)):
        raise BadToken("at_hash")
    _check_common(issuer, claims, now)
    return claims


def expiry_of(token: Jws) -> float:
    """When a token that was accepted ends, in Unix seconds."""
    return _moment(token.claims(), "exp")


def identity_in(issuer: IssuerSettings, claims: Mapping[str, Any]) -> ExternalIdentity:
    """Whom claims are about, once they have been checked. Raises BadToken."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise BadToken("sub")
    given = claims.get("email")
    email = clean_email(given) if isinstance(given, str) else None
    verified = claims.get("email_verified") is True or issuer.emails_verified
    return ExternalIdentity(issuer.issuer, subject, email, email is not None and verified, _name(claims))


def _check_common(issuer: IssuerSettings, claims: Mapping[str, Any], now: float) -> None:
    if claims.get("iss") != issuer.issuer:
        raise BadToken("iss")
    if _moment(claims, "exp") + SKEW_SECONDS <= now:
        raise BadToken("expired")
    for name in ("iat", "nbf"):
        if (name == "iat" or name in claims) and _moment(claims, name) - SKEW_SECONDS > now:
            raise BadToken(f"{name} is in the future")
    if claims["exp"] <= claims["iat"]:
        raise BadToken("it ends before it begins")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    """A claim in Unix seconds, whole or not. Raises BadToken."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"{name} is missing or no number")
    if not math.isfinite(value) or not 0 <= value < LATEST:
        raise BadToken(f"{name} is no time")
    return value


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    given = claims.get("aud")
    listed: list[Any] = given if isinstance(given, list) else [given]
    audiences = [one for one in listed if isinstance(one, str)]
    if not audiences or len(audiences) < len(listed):
        raise BadToken("aud")
    return audiences


def _hash_of(token: Jws, access_token: str) -> str:
    """`at_hash`: the left half of the digest that goes with the algorithm (OpenID Connect Core, 3.1.3.6)."""
    digest = _HASHES[str(token.header["alg"])[-3:]](access_token.encode(errors="replace")).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _name(claims: Mapping[str, Any]) -> str:
    """What somebody is called until they say otherwise; the first that can be a name."""
    metadata = claims.get("user_metadata")
    inner = metadata if isinstance(metadata, dict) else {}
    for given in (claims.get("name"), claims.get("preferred_username"), inner.get("full_name"), inner.get("name")):
        if isinstance(given, str):
            try:
                return clean_name(given)
            except BadInput:
                continue
    return NAMELESS
