"""Access tokens under attack (RFC 8725), the memory of verified ones, and the memory of revoked sessions."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

import anyio
import jwt
import pytest
import uuid_utils.compat as uuids
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from valkey.asyncio import Valkey

from api.auth.tokens import CHANNEL, AccessTokens, Revocations
from api.settings import AuthSettings
from core.errors import StorageUnavailable, Unauthenticated
from core.principal import Principal
from core.secret import Secret
from db.keyset import Keyset
from db.valkey import open_valkey
from tests.support.signing import SIGNER, STRANGER
from tests.support.waiting import until

SECRET = Secret("0123456789abcdef0123456789abcdef-secret")
KEYSET = Keyset([SECRET])
KEY = KEYSET.derive("tokens")[0].signing
SETTINGS = AuthSettings()
SESSION = uuids.uuid7()
ADA = Principal.of_user(uuids.uuid7(), SESSION)


class Memory:
    """Revoked sessions as the database would tell them."""

    def __init__(self) -> None:
        self.revoked: list[UUID] = []
        self.down = False
        self.asked: list[float] = []

    async def revoked_within(self, seconds: float) -> Iterable[UUID]:
        self.asked.append(seconds)
        if self.down:
            raise StorageUnavailable("down")
        return list(self.revoked)


class NoValkey:
    """Never asked in tests of tokens alone."""


def quiet_revocations() -> Revocations:
    return Revocations(Memory(), NoValkey(), SIGNER, access_seconds=600)  # type: ignore[arg-type]


def tokens(revocations: Revocations | None = None, keyset: Keyset = KEYSET, **more: Any) -> AccessTokens:
    return AccessTokens(SETTINGS, keyset, revocations or quiet_revocations(), **more)


def bearer(token: str | bytes) -> bytes:
    return b"Bearer " + (token.encode() if isinstance(token, str) else token)


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def forged(key: bytes = KEY, *, header: dict[str, Any] | None = None, **claims: Any) -> bytes:
    """A token like ours, signed with `key`, with these changes; None drops a claim or header."""
    real_header, real_claims = parts_of(tokens().issue(ADA))
    changed = {name: value for name, value in {**real_claims, **claims}.items() if value is not None}
    head = {name: value for name, value in {**real_header, **(header or {})}.items() if value is not None}
    signed = b".".join(_b64(json.dumps(part).encode()) for part in (head, changed))
    return signed + b"." + _b64(hmac.digest(key, signed, "sha256"))


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def refuse(token: bytes) -> None:
    with pytest.raises(Unauthenticated):
        tokens().principal_of(bearer(token))


def test_an_issued_token_names_its_session_and_has_every_claim() -> None:
    token = tokens().issue(ADA)
    assert tokens().principal_of(bearer(token)) == ADA
    header, claims = parts_of(token)
    assert (header["typ"], header["alg"]) == ("at+jwt", "HS256")
    assert set(claims) == {"iss", "aud", "sub", "sid", "exp", "nbf", "iat", "jti", "typ"}
    assert claims["exp"] - claims["iat"] == 600
    assert tokens().principal_of(b"bEaReR " + token.encode()) == ADA


def test_no_two_tokens_are_the_same() -> None:
    assert tokens().issue(ADA) != tokens().issue(ADA)


def test_the_forger_of_these_tests_can_make_a_good_one() -> None:
    assert tokens().principal_of(bearer(forged())) == ADA


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"aud": None},
        {"iss": None},
        {"typ": "refresh"},
        {"typ": None},
        {"sub": None},
        {"sub": "not-a-uuid"},
        {"sub": 5},
        {"sid": None},
        {"sid": "x"},
        {"jti": None},
        {"exp": None},
        {"nbf": None},
        {"iat": None},
        {"exp": 10**30, "iat": 10**30 - 60},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": True},
    ],
)
def test_a_well_signed_token_with_one_wrong_claim_is_refused(claims: dict[str, Any]) -> None:
    refuse(forged(**claims))


@pytest.mark.parametrize("seconds", [{"exp": -6, "iat": -600}, {"exp": 86_400}, {"nbf": 60}, {"iat": 60}])
def test_a_well_signed_token_outside_its_time_is_refused(seconds: dict[str, int]) -> None:
    now = int(time.time())
    claims: dict[str, Any] = {claim: now + offset for claim, offset in seconds.items()}
    refuse(forged(**claims))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"typ": "rt+jwt"},
        {"kid": "foreign"},
        {"kid": None},
        {"kid": "../../dev/null"},
        {"alg": "none"},
        {"alg": "HS512"},
        {"alg": None},
        {"alg": ["HS256"]},
        {"jku": "https://evil.example/jwks"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://evil.example/x"},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
    ],
)
def test_a_token_with_a_header_of_somebody_elses_making_is_refused(header: dict[str, Any]) -> None:
    refuse(forged(header=header))


def test_a_token_signed_with_another_key_is_refused() -> None:
    refuse(forged(b"another key that is just as long as ours"))
    refuse(forged(b""))
    refuse(forged(SECRET.reveal().encode()))
    refuse(forged(KEYSET.derive("mail")[0].signing))


def test_a_token_of_an_older_key_is_accepted_until_the_key_leaves_the_set() -> None:
    new = Secret("fedcba9876543210fedcba9876543210-secret")
    before, during, after = KEYSET, Keyset([new, SECRET]), Keyset([new])
    old = bearer(tokens(keyset=before).issue(ADA))
    assert tokens(keyset=during).principal_of(old) == ADA
    renewed = tokens(keyset=during).issue(ADA)
    assert parts_of(renewed)[0]["kid"] == after.derive("tokens")[0].id.hex()
    assert tokens(keyset=after).principal_of(bearer(renewed)) == ADA
    for keyset, token in ((after, old), (before, bearer(renewed))):
        with pytest.raises(Unauthenticated):
            tokens(keyset=keyset).principal_of(token)


def test_a_token_that_names_one_key_and_is_signed_with_another_is_refused() -> None:
    new = Secret("fedcba9876543210fedcba9876543210-secret")
    both = Keyset([SECRET, new])
    ours, other = both.derive("tokens")
    with pytest.raises(Unauthenticated):
        tokens(keyset=both).principal_of(bearer(forged(ours.signing, header={"kid": other.id.hex()})))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_is_refused(algorithm: str) -> None:
    header, claims = parts_of(tokens().issue(ADA))
    signed = b".".join(_b64(json.dumps(part).encode()) for part in ({**header, "alg": algorithm}, claims))
    refuse(signed + b".")
    refuse(signed)


def test_a_token_signed_by_rsa_or_with_a_public_key_as_secret_is_refused() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    header, claims = parts_of(tokens().issue(ADA))
    refuse(jwt.encode(claims, key, "RS256", headers={"typ": "at+jwt", "kid": header["kid"]}).encode())
    refuse(forged(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)))


def test_a_refresh_token_is_no_access_token() -> None:
    refuse(b"tfr_" + b"A" * 43)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic YTpi",
        b"bearer\t" + b"x",
        b"Bearer a.b.c",
        b"Bearer " + b"x" * 10000,
        b"Bearer " + b"." * 3000,
        b"Bearer \xff\xfe",
        b"Bearer eyJ" + b"A" * 100,
        b"Bearer " + _b64(b"[" * 3000) + b".a.b",
    ],
)
def test_what_is_no_token_is_refused(value: bytes) -> None:
    with pytest.raises(Unauthenticated):
        tokens().principal_of(value)


@given(
    st.binary(max_size=300)
    | st.from_regex(r"[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}").map(str.encode)
)
@settings(max_examples=300, deadline=None)
def test_no_bytes_at_all_make_verification_fail_otherwise(value: bytes) -> None:
    with pytest.raises(Unauthenticated):
        tokens().principal_of(bearer(value))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_changed_byte_of_a_token_goes_unnoticed(data: st.DataObject) -> None:
    token = bytearray(tokens().issue(ADA).encode())
    at = data.draw(st.integers(0, len(token) - 1))
    token[at] ^= data.draw(st.integers(1, 127))
    try:
        assert tokens().principal_of(bearer(bytes(token))) == ADA
    except Unauthenticated:
        return
    raise AssertionError("a changed token was accepted")


def test_a_verified_token_is_remembered_and_still_expires() -> None:
    now = time.time()
    ours = tokens(wall_clock=lambda: now)
    value = bearer(ours.issue(ADA))
    assert ours.principal_of(value) is ours.principal_of(value)
    now += 604
    assert ours.principal_of(value) == ADA
    now += 2
    with pytest.raises(Unauthenticated):
        ours.principal_of(value)


def test_the_memory_of_tokens_is_bounded_and_keeps_what_is_used() -> None:
    ours = tokens(remembered=20)
    busy = bearer(ours.issue(ADA))
    first = ours.principal_of(busy)
    for _ in range(100):
        ours.principal_of(bearer(ours.issue(ADA)))
        assert ours.principal_of(busy) is first
    assert len(ours._young) + len(ours._old) <= 20


def test_the_memory_holds_no_token() -> None:
    ours = tokens()
    token = ours.issue(ADA)
    ours.principal_of(bearer(token))
    assert set(ours._young) == {hashlib.sha256(bearer(token)).digest()}


def test_a_remembered_token_costs_a_few_microseconds() -> None:
    ours = tokens()
    value = bearer(ours.issue(ADA))
    ours.principal_of(value)
    started = time.process_time()
    for _ in range(20_000):
        ours.principal_of(value)
    assert (time.process_time() - started) / 20_000 < 20e-6


@pytest.mark.anyio
async def test_a_revoked_session_is_refused_at_once_where_it_was_revoked(valkey_client: Valkey) -> None:
    revocations = Revocations(Memory(), valkey_client, SIGNER, access_seconds=600)
    ours = tokens(revocations)
    value = bearer(ours.issue(ADA))
    ours.principal_of(value)
    await revocations.announce([SESSION])
    with pytest.raises(Unauthenticated):
        ours.principal_of(value)


@pytest.mark.anyio
async def test_another_process_hears_of_it_over_valkey(valkey_client: Valkey, valkey_url: str) -> None:
    here = Revocations(Memory(), valkey_client, SIGNER, access_seconds=600)
    async with open_valkey(valkey_url) as other_client, anyio.create_task_group() as group:
        there = Revocations(Memory(), other_client, SIGNER, access_seconds=600, poll_seconds=3600)
        await group.start(there.run)
        while not (await valkey_client.pubsub_numsub(CHANNEL))[0][1]:
            await asyncio.sleep(0.005)
        gone = [uuid4(), uuid4()]
        await here.announce(gone)
        await until(lambda: all(there.is_revoked(session_id) for session_id in gone))
        assert not there.is_revoked(uuid4())
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_forged_revocation_ends_nobodys_session(valkey_client: Valkey, valkey_url: str) -> None:
    async with open_valkey(valkey_url) as other_client, anyio.create_task_group() as group:
        there = Revocations(Memory(), other_client, SIGNER, access_seconds=600, poll_seconds=3600)
        await group.start(there.run)
        while not (await valkey_client.pubsub_numsub(CHANNEL))[0][1]:
            await asyncio.sleep(0.005)
        victim, ended = uuid4(), uuid4()
        for forged in (
            victim.bytes,
            STRANGER.sign("revocations", CHANNEL, victim.bytes, seconds=60),
            SIGNER.sign("commits", CHANNEL, victim.bytes, seconds=60),
            SIGNER.sign("revocations", CHANNEL, victim.bytes, seconds=-9),
        ):
            await valkey_client.publish(CHANNEL, forged)
        await Revocations(Memory(), valkey_client, SIGNER, access_seconds=600).announce([ended])
        await until(lambda: there.is_revoked(ended))
        assert not there.is_revoked(victim)
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_without_valkey_the_database_tells_within_one_poll() -> None:
    memory = Memory()
    async with open_valkey("valkey://127.0.0.1:1/0") as nobody, anyio.create_task_group() as group:
        revocations = Revocations(memory, nobody, SIGNER, access_seconds=600, poll_seconds=0.01)
        await group.start(revocations.run)
        memory.revoked.append(SESSION)
        await until(lambda: revocations.is_revoked(SESSION))
        await revocations.announce([uuid4()])
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_what_was_revoked_before_the_start_is_known_once_started(valkey_client: Valkey) -> None:
    memory = Memory()
    memory.revoked.append(SESSION)
    async with anyio.create_task_group() as group:
        revocations = Revocations(memory, valkey_client, SIGNER, access_seconds=600)
        await group.start(revocations.run)
        assert revocations.is_revoked(SESSION)
        assert memory.asked[0] > 600
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_after_an_outage_of_the_database_the_poll_looks_back_over_all_of_it(valkey_client: Valkey) -> None:
    memory, now = Memory(), 0.0
    async with anyio.create_task_group() as group:
        revocations = Revocations(
            memory, valkey_client, SIGNER, access_seconds=600, poll_seconds=0.005, monotonic=lambda: now
        )
        await group.start(revocations.run)
        memory.down = True
        now = 500.0
        asked = len(memory.asked)
        await until(lambda: len(memory.asked) > asked + 2)
        memory.down = False
        asked = len(memory.asked)
        await until(lambda: len(memory.asked) > asked + 1)
        assert memory.asked[asked] >= 560
        assert memory.asked[asked + 1] < 100
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_session_is_forgotten_only_when_no_token_of_it_can_be_alive(valkey_client: Valkey) -> None:
    memory, now = Memory(), 0.0
    memory.revoked.append(SESSION)
    async with anyio.create_task_group() as group:
        revocations = Revocations(
            memory, valkey_client, SIGNER, access_seconds=600, poll_seconds=0.005, monotonic=lambda: now
        )
        await group.start(revocations.run)
        memory.revoked.clear()
        now = 7_000.0
        asked = len(memory.asked)
        await until(lambda: len(memory.asked) > asked + 1)
        assert revocations.is_revoked(SESSION)
        now = 20_000.0
        await until(lambda: not revocations.is_revoked(SESSION))
        group.cancel_scope.cancel()
