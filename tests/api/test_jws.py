"""Signatures of other issuers' tokens: Wycheproof's vectors (C2SP/wycheproof), and which keys of a set are used."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import ECAlgorithm

from api.auth.jws import LONGEST, BadToken, KeySet, VerifyKey, claimed_issuer, keys_in, parse
from api.issuer_settings import Algorithm
from tests.support.issuer import b64, new_key, public_jwk

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "vectors" / "json_web_signature_test.json"
ALGORITHMS = get_args(Algorithm)
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_file(), reason="Wycheproof's vectors (../shared/data/vectors) are not beside the checkout"
)
FOLDED = {"ES521": "ES512"}
"""The vectors call ECDSA on P-521 by the curve's name in two keys."""


STRICTER = {
    346: "PS384 by a key that its set says is for PS256",
    350: "the same",
    372: "a `?` in the header, which base64url does not have",
    373: "a `?` in the payload",
}
"""Valid as the vectors say, and refused here."""
MISLABELLED = {367, 370}
"""Invalid as the vectors say, though they are 372 without its `?`: well-formed and rightly signed. They have no claims,
so that nobody comes in by them either (`test_attack_tokens.py`)."""


def vectors() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each test with the key of its group."""
    if not VECTORS.is_file():
        return []
    groups = json.loads(VECTORS.read_text())["testGroups"]
    return [(group.get("public") or group["private"], test) for group in groups for test in group["tests"]]


def key_set(jwk: dict[str, Any]) -> KeySet:
    """An issuer that has this key: a shared secret, or a set of one."""
    if jwk["kty"] == "oct":
        return [VerifyKey(None, "HS256", urlsafe_b64decode(jwk["k"] + "=" * (-len(jwk["k"]) % 4)))]
    named = FOLDED.get(jwk.get("alg", ""), jwk.get("alg"))
    return keys_in(json.dumps({"keys": [{**jwk, **({"alg": named} if named else {})}]}).encode(), ALGORITHMS)


def accepted(token: str, keys: KeySet, algorithms: tuple[str, ...] = ALGORITHMS) -> bool:
    try:
        parse(token.encode(), algorithms).check_signature(keys)
    except BadToken:
        return False
    return True


@needs_vectors
def test_no_invalid_vector_is_accepted_and_every_valid_one_of_a_signing_key_is() -> None:
    wrong, valid = [], 0
    for jwk, test in vectors():
        keys = key_set(jwk)
        verdict = accepted(test["jws"], keys)
        if test["tcId"] in STRICTER.keys() | MISLABELLED:
            assert verdict == (test["tcId"] in MISLABELLED)
        elif test["result"] == "invalid" and verdict:
            wrong.append((test["tcId"], test["comment"], "accepted"))
        elif test["result"] == "valid" and not verdict:
            wrong.append((test["tcId"], test["comment"], "refused"))
        valid += test["result"] == "valid" and verdict
    assert len(vectors()) >= 400
    assert not wrong
    assert valid >= 30


def test_only_keys_that_sign_and_are_strong_enough_are_taken_from_a_set() -> None:
    good = public_jwk("good", "ES256", new_key("ES256"))
    weak = public_jwk("weak", "RS256", rsa.generate_private_key(65537, 1024))
    others: list[dict[str, Any]] = [
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": "ops", "key_ops": ["encrypt"]},
        {**good, "kid": "alg", "alg": "ES384"},
        {**good, "kid": "curve", "crv": "P-384"},
        {**good, "kid": "point", "x": good["y"]},
        {**good, "kid": 7},
        {"kty": "oct", "k": "AAAA", "kid": "oct", "alg": "HS256"},
        {"kty": "RSA", "kid": "half"},
        {"kid": "nothing"},
        weak,
    ]
    keys = keys_in(json.dumps({"keys": [*others, good]}).encode(), ALGORITHMS)
    assert [key.kid for key in keys] == ["good"]


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": []', b'{"keys": [], "keys": []}']
)
def test_what_is_no_set_of_keys_is_refused(document: bytes) -> None:
    with pytest.raises(BadToken):
        keys_in(document, ALGORITHMS)


def test_a_private_key_in_a_set_is_read_as_its_public_half() -> None:
    key = new_key("ES256")
    whole: dict[str, Any] = {**ECAlgorithm.to_jwk(key, as_dict=True), "kid": "a", "key_ops": ["sign", "verify"]}
    (found,) = keys_in(json.dumps({"keys": [whole]}).encode(), ["ES256"])
    assert not hasattr(found.key, "private_numbers")


@pytest.mark.parametrize(
    ("token", "issuer"),
    [
        (b"a." + b64(b'{"iss": "x"}') + b".b", "x"),
        (b"a." + b64(b'{"iss": 1}') + b".b", None),
        (b"a." + b64(b"[]") + b".b", None),
        (b"a." + b64(b'{"iss": "x", "iss": "y"}') + b".b", None),
        (b"a.b", None),
        (b"a." + b64(b'{"iss": "x"}') + b".b.c", None),
        (b"a." + b64(b'{"iss": "x"}') + b"." + b"c" * LONGEST, None),
        (b"a." + b64(b"[" * 6_000) + b".b", None),
    ],
)
def test_the_issuer_that_a_token_claims(token: bytes, issuer: str | None) -> None:
    assert claimed_issuer(token) == issuer
