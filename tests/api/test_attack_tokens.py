"""Tokens that claim to be another issuer's and are not as they must be: nobody comes in, and nothing of ours breaks."""

import hmac
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs

from api.auth.external_claims import access_identity
from api.auth.external_issuers import Issuer
from api.auth.jws import BadToken
from api.settings import AuthSettings
from core.secret import Secret
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.api.conftest import RUNNING
from tests.api.test_jws import ALGORITHMS, needs_vectors, vectors
from tests.support.desk import problem
from tests.support.issuer import AUDIENCE, FakeIssuer, b64, faking, new_key, public_jwk
from tests.support.leaks import leak_free
from tests.support.site import Person, Site, serving, settings_for

pytestmark = pytest.mark.anyio

SHARED: Final = "a secret of thirty-two bytes or more"


@pytest.fixture(scope="module")
async def fake() -> AsyncIterator[FakeIssuer]:
    async with faking() as issuer:
        yield issuer


@pytest.fixture(scope="module")
async def site(services: DevStack, module_database: DatabaseSettings, fake: FakeIssuer) -> AsyncIterator[Site]:
    """A worker that knows an issuer by its keys, and one by a shared secret."""
    await services.valkey.start()
    legacy = fake.settings(
        name="legacy", issuer="https://legacy.example.org", jwks_url=None, secret=Secret(SHARED), algorithms=("HS256",)
    )
    issuers = (fake.settings(algorithms=("ES256", "RS256")), legacy)
    settings = settings_for(module_database, services.valkey.url)
    settings = structs.replace(settings, auth=AuthSettings(issuers=issuers))
    async with leak_free(), serving(settings) as running:
        RUNNING.append(running)
        yield running
        RUNNING.remove(running)


@pytest.fixture(scope="module")
async def ada(site: Site) -> Person:
    return await site.person()


def header(fake: FakeIssuer, **changes: Any) -> bytes:
    (kid,) = fake.keys
    whole = {"alg": "ES256", "kid": kid, "typ": "JWT", **changes}
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def claims(fake: FakeIssuer, **changes: Any) -> bytes:
    return json.dumps(fake.claims(**changes)).encode()


def unsigned(fake: FakeIssuer, algorithm: str, signature: bytes = b"") -> bytes:
    return b64(header(fake, alg=algorithm)) + b"." + b64(claims(fake)) + b"." + signature


def confused(fake: FakeIssuer, secret: Callable[[Any], bytes], algorithm: str = "HS256") -> bytes:
    """Signed with the public key as if it were a secret (RFC 8725, 2.1)."""
    ((_, key),) = fake.keys.values()
    given = header(fake, alg=algorithm)
    signed = b64(given) + b"." + b64(claims(fake))
    return signed + b"." + b64(hmac.digest(secret(key), signed, "sha256"))


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def der(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def own(fake: FakeIssuer, **changes: Any) -> bytes:
    """Good but for the header, by a key of the attacker's."""
    return fake.sign(header(fake, **changes), claims(fake), "ES256", STOLEN)


def wrong_header(fake: FakeIssuer, **changes: Any) -> bytes:
    """Good but for the header, and signed with the issuer's own key."""
    return fake.sign(header(fake, **changes), claims(fake))


def wrong_claim(fake: FakeIssuer, **changes: Any) -> bytes:
    return fake.token(None, **changes).encode()


def literal(fake: FakeIssuer, member: str, text: str) -> bytes:
    """The claims with a member as it is spelt here, which Python's encoder would not write."""
    body = claims(fake, **{member: ...})
    return fake.sign(header(fake), body[:-1] + f', "{member}": {text}}}'.encode())


def mangled(fake: FakeIssuer, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    return b".".join(change(fake.token().encode().split(b".")))


def legacy(fake: FakeIssuer, secret: str = SHARED, algorithm: str = "HS256", **changes: Any) -> bytes:
    body = fake.claims(**{"iss": "https://legacy.example.org", **changes})
    return jwt.encode(body, secret, algorithm).encode()


STOLEN, RSA = new_key("ES256"), new_key("PS256")
ATTACKERS_JWK = public_jwk("first", "ES256", STOLEN)
Attack = Callable[[FakeIssuer], bytes]


def at(seconds: float) -> float:
    return time.time() + seconds


ATTACKS: dict[str, Attack] = {
    "alg none": lambda f: unsigned(f, "none"),
    "alg None": lambda f: unsigned(f, "None"),
    "alg NONE": lambda f: unsigned(f, "NONE"),
    "alg nOnE": lambda f: unsigned(f, "nOnE"),
    "alg empty": lambda f: unsigned(f, ""),
    "alg none with a signature": lambda f: unsigned(f, "none", b64(b"x" * 64)),
    "alg none beside a good signature": lambda f: wrong_header(f, alg="none"),
    "alg missing": lambda f: wrong_header(f, alg=...),
    "alg a number": lambda f: wrong_header(f, alg=1),
    "alg a list": lambda f: wrong_header(f, alg=["ES256"]),
    "alg null": lambda f: wrong_header(f, alg=None),
    "alg lower case": lambda f: wrong_header(f, alg="es256"),
    "alg of another curve": lambda f: wrong_header(f, alg="ES384"),
    "alg allowed but not the key's": lambda f: wrong_header(f, alg="RS256"),
    "alg not allowed here": lambda f: f.sign(header(f, alg="PS256"), claims(f), "PS256", RSA),
    "HS256 by the PEM": lambda f: confused(f, pem),
    "HS256 by the PEM without its line end": lambda f: confused(f, lambda key: pem(key).rstrip()),
    "HS256 by the DER": lambda f: confused(f, der),
    "HS256 by the JWK": lambda f: confused(f, lambda key: json.dumps(public_jwk("first", "ES256", key)).encode()),
    "HS256 by nothing": lambda f: confused(f, lambda _: b""),
    "ES256 in name, HS256 by the PEM": lambda f: confused(f, pem, "ES256"),
    "another key of the same kid": lambda f: own(f),
    "jku": lambda f: own(f, jku=f.url + "/attackers-keys"),
    "jku beside a good signature": lambda f: wrong_header(f, jku=f.url + "/keys"),
    "x5u": lambda f: own(f, x5u=f.url + "/attackers-certificate"),
    "embedded jwk": lambda f: own(f, jwk=ATTACKERS_JWK),
    "embedded jwk without a kid": lambda f: own(f, jwk=ATTACKERS_JWK, kid=...),
    "x5c": lambda f: own(f, x5c=["MIIB"]),
    "crit": lambda f: wrong_header(f, crit=["exp"]),
    "crit unknown": lambda f: wrong_header(f, crit=["urn:x"], **{"urn:x": True}),
    "crit empty": lambda f: wrong_header(f, crit=[]),
    "b64 false": lambda f: wrong_header(f, b64=False),
    "zip": lambda f: wrong_header(f, zip="DEF"),
    "kid foreign": lambda f: own(f, kid="mine"),
    "kid a path": lambda f: own(f, kid="../../../../dev/null"),
    "kid SQL": lambda f: own(f, kid="x' union select 'key"),
    "kid a URL": lambda f: own(f, kid=f.url + "/attackers-keys"),
    "kid long": lambda f: own(f, kid="k" * 1_000),
    "kid of ten kilobytes": lambda f: own(f, kid="k" * 10_000),
    "kid with a null byte": lambda f: own(f, kid="first\0"),
    "kid a number": lambda f: wrong_header(f, kid=1),
    "kid null": lambda f: wrong_header(f, kid=None),
    "kid a list": lambda f: wrong_header(f, kid=["first"]),
    "kid empty": lambda f: wrong_header(f, kid=""),
    "kid missing, another key": lambda f: own(f, kid=...),
    "typ of a refresh token": lambda f: wrong_header(f, typ="rt+jwt"),
    "typ of an ID token for logout": lambda f: wrong_header(f, typ="logout+jwt"),
    "typ a list": lambda f: wrong_header(f, typ=["JWT"]),
    "typ null": lambda f: wrong_header(f, typ=None),
    "iss another": lambda f: wrong_claim(f, iss="https://legacy.example.org"),
    "iss with a slash": lambda f: wrong_claim(f, iss=f.url + "/"),
    "iss a list": lambda f: wrong_claim(f, iss=[f.url]),
    "iss missing": lambda f: wrong_claim(f, iss=...),
    "iss ours": lambda f: wrong_claim(f, iss="taskforge"),
    "aud another": lambda f: wrong_claim(f, aud="https://other.example.org"),
    "aud of the client, as in ID tokens": lambda f: wrong_claim(f, aud="our-client"),
    "aud a prefix": lambda f: wrong_claim(f, aud=AUDIENCE[:-1]),
    "aud missing": lambda f: wrong_claim(f, aud=...),
    "aud an empty list": lambda f: wrong_claim(f, aud=[]),
    "aud a list with a number": lambda f: wrong_claim(f, aud=[AUDIENCE, 1]),
    "aud a list of lists": lambda f: wrong_claim(f, aud=[[AUDIENCE]]),
    "aud an object": lambda f: wrong_claim(f, aud={AUDIENCE: True}),
    "sub missing": lambda f: wrong_claim(f, sub=...),
    "sub empty": lambda f: wrong_claim(f, sub=""),
    "sub a number": lambda f: wrong_claim(f, sub=7),
    "sub a list": lambda f: wrong_claim(f, sub=["ada"]),
    "sub long": lambda f: wrong_claim(f, sub="a" * 256),
    "sub with a null byte": lambda f: wrong_claim(f, sub="ada\0"),
    "sub half a character": lambda f: literal(f, "sub", '"\\ud800"'),
    "exp missing": lambda f: wrong_claim(f, exp=...),
    "exp past": lambda f: wrong_claim(f, iat=at(-700), nbf=at(-700), exp=at(-61)),
    "exp a text": lambda f: wrong_claim(f, exp=str(int(at(600)))),
    "exp a truth": lambda f: wrong_claim(f, exp=True),
    "exp negative": lambda f: wrong_claim(f, exp=-1),
    "exp huge": lambda f: wrong_claim(f, exp=10**30),
    "exp of four thousand digits and more": lambda f: literal(f, "exp", "9" * 4_400),
    "exp endless": lambda f: literal(f, "exp", "1e999"),
    "exp not a number": lambda f: literal(f, "exp", "NaN"),
    "exp infinite": lambda f: literal(f, "exp", "Infinity"),
    "exp before iat": lambda f: wrong_claim(f, iat=at(30), nbf=..., exp=at(10)),
    "nbf future": lambda f: wrong_claim(f, nbf=at(70)),
    "nbf a text": lambda f: wrong_claim(f, nbf="0"),
    "nbf null": lambda f: wrong_claim(f, nbf=None),
    "iat missing": lambda f: wrong_claim(f, iat=...),
    "iat future": lambda f: wrong_claim(f, iat=at(70)),
    "iat a text": lambda f: wrong_claim(f, iat="now"),
    "a claim twice": lambda f: literal(f, "sub", '"ada", "sub": "eve"'),
    "a header twice": lambda f: f.sign(header(f)[:-1] + b', "alg": "none"}', claims(f)),
    "claims a list": lambda f: f.sign(header(f), b"[]"),
    "claims no JSON": lambda f: f.sign(header(f), b"{"),
    "claims not UTF-8": lambda f: f.sign(header(f), b'{"iss": "\xff"}'),
    "claims deep": lambda f: f.sign(header(f), b'{"a":' * 800 + b"1" + b"}" * 800),
    "a signature of zeros": lambda f: mangled(f, lambda parts: [*parts[:2], b64(bytes(64))]),
    "a signature of (r, 0)": lambda f: mangled(f, lambda parts: [*parts[:2], b64(b"\1" * 32 + bytes(32))]),
    "no signature": lambda f: mangled(f, lambda parts: [*parts[:2], b""]),
    "half a signature": lambda f: mangled(f, lambda parts: [*parts[:2], parts[2][:40]]),
    "a signature in DER": lambda f: mangled(f, lambda parts: [*parts[:2], b64(_der_of(parts[2]))]),
    "another payload": lambda f: mangled(f, lambda parts: [parts[0], b64(claims(f, sub="eve")), parts[2]]),
    "another header": lambda f: mangled(f, lambda parts: [b64(header(f, typ="at+jwt")), *parts[1:]]),
    "padding": lambda f: mangled(f, lambda parts: [parts[0] + b"=", *parts[1:]]),
    "the other alphabet": lambda f: mangled(f, lambda parts: [parts[0], parts[1], b"+/" + parts[2][2:]]),
    "bits left over": lambda f: mangled(f, lambda parts: [*parts[:2], parts[2][:-1] + _next(parts[2][-1:])]),
    "four parts": lambda f: mangled(f, lambda parts: [*parts, b""]),
    "two parts": lambda f: mangled(f, lambda parts: parts[:2]),
    "an empty header": lambda f: mangled(f, lambda parts: [b"", *parts[1:]]),
    "a space within": lambda f: mangled(f, lambda parts: [parts[0] + b" ", *parts[1:]]),
    "letters that are none of base64": lambda f: mangled(f, lambda parts: [parts[0], parts[1] + b"\xc3\xa9", parts[2]]),
    "longer than tokens are": lambda f: wrong_claim(f, more="x" * 8_200),
    "the secret's issuer by another secret": lambda f: legacy(f, secret="another secret of thirty-two bytes"),
    "the secret's issuer by HS512": lambda f: legacy(f, secret=SHARED * 2, algorithm="HS512"),
    "the secret's issuer by the other's key": lambda f: wrong_claim(f, iss="https://legacy.example.org"),
    "the other issuer by the secret": lambda f: legacy(f, iss=f.url),
}


def _der_of(part: bytes) -> bytes:
    raw = urlsafe_b64decode(part + b"==")
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def _next(letter: bytes) -> bytes:
    """Another letter for the same bytes: the last one of 64 bytes has four bits that mean nothing."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) ^ 1 :][:1]


def test_there_are_sixty_attacks() -> None:
    assert len(ATTACKS) >= 60


@pytest.mark.parametrize(
    "changes",
    [
        dict,
        lambda: {"aud": ["https://other.example.org", AUDIENCE]},
        lambda: {"iat": at(50), "nbf": at(50), "exp": at(600)},
        lambda: {"iat": at(-600), "exp": at(-30), "nbf": ...},
        lambda: {"exp": at(600) + 0.5},
        lambda: {"unknown": {"deep": [1, 2]}},
    ],
    ids=["plain", "several audiences", "a clock ahead", "a clock behind", "half a second", "more claims"],
)
async def test_a_good_token_lets_in(site: Site, fake: FakeIssuer, changes: Callable[[], dict[str, Any]]) -> None:
    """Otherwise the attacks would be refused for nothing."""
    answer = await site.client.get("/v1/me", headers={"Authorization": f"Bearer {fake.token(**changes())}"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", ...])
async def test_the_types_of_access_tokens_let_in(site: Site, fake: FakeIssuer, kind: Any) -> None:
    headers = {"Authorization": f"Bearer {fake.token({'typ': kind})}"}
    assert (await site.client.get("/v1/me", headers=headers)).status_code == 200


async def test_the_only_key_needs_no_name_and_a_secret_has_none(site: Site, fake: FakeIssuer) -> None:
    for token in (fake.token({"kid": ...}), legacy(fake).decode()):
        assert (await site.client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 200


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_as_a_bearer_and_as_a_proof(
    site: Site, fake: FakeIssuer, ada: Person, name: str
) -> None:
    token = ATTACKS[name](fake)
    refused = await site.client.get("/v1/me", headers={b"Authorization": b"Bearer " + token})
    problem(refused, 401, "unauthenticated")
    linked = await site.client.post("/v1/me/identities", json={"token": token.decode("latin-1")}, headers=ada.headers)
    problem(linked, 400, "bad-input")
    assert not [path for path in fake.asked if "attackers" in path]


async def test_our_own_tokens_are_no_good_when_another_signs_them(site: Site, fake: FakeIssuer, ada: Person) -> None:
    head, body, _ = ada.token.split(".")
    plain = [urlsafe_b64decode(part + "==") for part in (head, body)]
    forged = fake.sign(plain[0], plain[1])
    renamed = fake.sign(header(fake), plain[1])
    for token in (forged, renamed, ada.refresh_token.encode()):
        answer = await site.client.get("/v1/me", headers={b"Authorization": b"Bearer " + token})
        problem(answer, 401, "unauthenticated")


@needs_vectors
async def test_nobody_comes_in_by_a_vector_of_wycheproof(site: Site, fake: FakeIssuer, ada: Person) -> None:
    """Not at the door, and not where an issuer is asked that has the key of the vector."""
    for jwk, test in vectors():
        token = test["jws"]
        if token.strip():
            bearer = await site.client.get("/v1/me", headers={b"Authorization": b"Bearer " + token.encode()})
            assert bearer.status_code == 401, test
        proof = await site.client.post("/v1/me/identities", json={"token": token}, headers=ada.headers)
        assert proof.status_code == 400, test
        if jwk["kty"] != "oct":
            fake.answers["/vector"] = (200, {}, json.dumps({"keys": [jwk]}).encode())
            issuer = Issuer(fake.settings(jwks_url=fake.url + "/vector", algorithms=ALGORITHMS[:-1]))
            with pytest.raises(BadToken):
                access_identity(issuer.settings, await issuer.verified(token.encode()), time.time())
