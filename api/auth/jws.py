"""Compact JSON Web Signatures (RFC 7515), read strictly: one spelling of everything, and keys of the right kind only.

What a token says about where its key is (`jku`, `x5u`, `jwk`, `x5c`) is never looked at, and refused (RFC 8725, 3.10).
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NoReturn

import jwt
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from msgspec import Struct

from api.issuer_settings import Algorithm
from core.secret import Secret

__all__ = ["BadToken", "Jws", "KeySet", "VerifyKey", "claimed_issuer", "keys_in", "parse", "secret_keys"]

LONGEST: Final = 8192
LONGEST_KID: Final = 255
REFUSED: Final = frozenset({"jku", "x5u", "jwk", "x5c", "crit", "b64", "zip"})
"""Headers that point to keys, or change what a signature means."""
RSA_BITS: Final = range(2048, 8193)
"""Shorter keys can be factored (RFC 7518, 3.3); longer ones cost more than they protect."""
CURVES: Final[dict[str, str]] = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
MOST_KEYS: Final = 100


class BadToken(Exception):
    """The token is not accepted; the text says why, for the log."""


class VerifyKey(Struct, frozen=True):
    """A key that verifies signatures of one algorithm."""

    kid: str | None
    algorithm: Algorithm
    key: Any

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        return jwt.get_algorithm_by_name(self.algorithm).verify(signed, self.key, signature)


KeySet = Sequence[VerifyKey]


class Jws(Struct, frozen=True):
    """A token in its parts; nothing of it is verified yet."""

    header: Mapping[str, Any]
    payload: bytes
    signed: bytes
    signature: bytes

    @property
    def kid(self) -> str | None:
        kid: str | None = self.header.get("kid")
        return kid

    def claims(self) -> dict[str, Any]:
        """The payload as an object. Raises BadToken."""
        return _object(self.payload)

    def candidates(self, keys: KeySet) -> KeySet:
        """The keys that may have signed it: of its algorithm and its `kid`, or the only one there is if it has none.

        A shared secret is the only key of its issuer, whatever the issuer calls it.
        """
        fitting = [key for key in keys if key.algorithm == self.header["alg"]]
        if len(fitting) == 1 and (self.kid is None or fitting[0].algorithm == "HS256"):
            return fitting
        return [key for key in fitting if key.kid is not None and key.kid == self.kid]

    def check_signature(self, keys: KeySet) -> None:
        """Raise BadToken unless one of the keys that may have signed it has."""
        if not any(key.verifies(self.signed, self.signature) for key in self.candidates(keys)):
            raise BadToken("no key of the issuer's verifies it")


def parse(token: bytes, algorithms: Collection[str]) -> Jws:
    """The token's parts, if it is written as it must be and signed by an allowed algorithm. Raises BadToken."""
    parts = token.split(b".")
    if len(token) > LONGEST or len(parts) != 3:
        raise BadToken("longer than tokens are, or not of three parts")
    header = _object(_bytes(parts[0]))
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise BadToken("an algorithm that is not allowed")
    if not REFUSED.isdisjoint(header):
        raise BadToken("a header that names keys or extensions")
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= LONGEST_KID and kid.isprintable()):
        raise BadToken("a kid of another form")
    return Jws(header, _bytes(parts[1]), parts[0] + b"." + parts[1], _bytes(parts[2]))


def claimed_issuer(token: bytes) -> str | None:
    """The `iss` that a token claims, unverified: whose keys to ask; None when it claims none."""
    parts = token.split(b".", 3)
    if len(token) > LONGEST or len(parts) != 3:
        return None
    try:
        issuer = _object(_bytes(parts[1])).get("iss")
    except BadToken:
        return None
    return issuer if isinstance(issuer, str) else None


def keys_in(document: bytes, algorithms: Sequence[Algorithm]) -> KeySet:
    """The keys of a JWK Set (RFC 7517) that verify by one of the algorithms; whatever else is in it is skipped.

    Raises BadToken when it is no such set.
    """
    found = _object(document).get("keys")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadToken("not a JWK Set")
    return [key for jwk in found[:MOST_KEYS] for algorithm in algorithms if (key := _key(jwk, algorithm)) is not None]


def secret_keys(secret: Secret) -> KeySet:
    """The key of an issuer that signs with a secret it shares with us."""
    return [VerifyKey(None, "HS256", secret.reveal().encode())]


def _key(jwk: Mapping[str, Any], algorithm: Algorithm) -> VerifyKey | None:
    """The key for this algorithm; None for one of another kind, another use, or too weak."""
    kid, operations = jwk.get("kid"), jwk.get("key_ops", ["verify"])
    if kid is not None and not isinstance(kid, str):
        return None
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = _public_key(jwk, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return None if key is None else VerifyKey(kid, algorithm, key)


def _public_key(jwk: Mapping[str, Any], algorithm: Algorithm) -> Any:
    """Of its public members only, so that a private key is read as its public half."""
    if algorithm[:2] in {"RS", "PS"} and jwk["kty"] == "RSA":
        rsa: Any = RSAAlgorithm.from_jwk({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
        exponent = rsa.public_numbers().e
        return rsa if rsa.key_size in RSA_BITS and 3 <= exponent < 2**32 and exponent % 2 else None
    if algorithm[:2] == "ES" and jwk["kty"] == "EC" and jwk["crv"] == CURVES[algorithm]:
        return ECAlgorithm.from_jwk({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    if algorithm == "EdDSA" and jwk["kty"] == "OKP" and jwk["crv"] == CURVES[algorithm]:
        return OKPAlgorithm.from_jwk({name: jwk[name] for name in ("kty", "crv", "x")})
    return None


def _bytes(part: bytes) -> bytes:
    """Base64url without padding, in its one canonical spelling (RFC 7515, 2; RFC 4648, 3.5). Raises BadToken."""
    try:
        plain = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadToken("not base64url") from error
    if urlsafe_b64encode(plain).rstrip(b"=") != part:
        raise BadToken("not the canonical base64url")
    return plain


def _object(data: bytes) -> dict[str, Any]:
    """A JSON object with no name twice (RFC 7519, 4). Raises BadToken."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadToken("not JSON, or a name twice") from error
    if not isinstance(found, dict):
        raise BadToken("no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
