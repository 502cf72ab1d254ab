"""The keys of other issuers: when they are fetched, what is refused of an answer, and what goes on without one."""

import asyncio
import json
import ssl
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from valkey.asyncio import Valkey

from api.auth.external_issuers import Issuer
from api.auth.fetching import LARGEST, FetchFailed, fetch
from api.auth.jws import BadToken
from api.auth.refetched import FRESH_SECONDS, INTERVAL_SECONDS, STALE_SECONDS
from api.auth.shared_fetches import SharedFetches
from core.errors import Unavailable
from core.secret import Secret
from db.keyset import Keyset
from db.signed import Signer
from db.valkey import open_valkey
from tests.support.issuer import DISCOVERY, JWKS, FakeIssuer, faking
from tests.support.signing import SIGNER, STRANGER

pytestmark = pytest.mark.anyio

KEYS = Keyset([Secret("the keys of this installation, for tests")])


@pytest.fixture
async def fake() -> AsyncIterator[FakeIssuer]:
    async with faking() as issuer:
        yield issuer


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(fake: FakeIssuer, clock: Clock) -> Issuer:
    return Issuer(fake.settings(), monotonic=clock)


async def accepts(issuer: Issuer, token: str) -> bool:
    try:
        await issuer.verified(token.encode())
    except BadToken:
        return False
    return True


async def test_many_tokens_at_once_cost_one_fetch(issuer: Issuer, fake: FakeIssuer) -> None:
    assert all(await asyncio.gather(*(accepts(issuer, fake.token()) for _ in range(50))))
    assert fake.asked[JWKS] == 1


async def test_random_kids_cost_one_fetch_a_minute(issuer: Issuer, fake: FakeIssuer, clock: Clock) -> None:
    for _ in range(5):
        tokens = [fake.token({"kid": f"random {number} at {clock.now}"}) for number in range(40)]
        assert not any(await asyncio.gather(*(accepts(issuer, token) for token in tokens)))
        clock.now += INTERVAL_SECONDS / 2
        assert not any(await asyncio.gather(*(accepts(issuer, token) for token in tokens)))
        assert await accepts(issuer, fake.token())
        clock.now += INTERVAL_SECONDS / 2
    assert fake.asked[JWKS] == 5


async def test_random_kids_at_many_processes_cost_one_fetch_a_minute(
    fake: FakeIssuer, clock: Clock, valkey_client: Valkey
) -> None:
    """Each process has a memory of its own; who fetches, they settle over Valkey, where a minute is a real one."""
    shared = SharedFetches(valkey_client, SIGNER)
    processes = [Issuer(fake.settings(), shared=shared, monotonic=clock) for _ in range(4)]
    for number in range(30):
        tokens = [fake.token({"kid": f"random {number}"}), fake.token()]
        found = await asyncio.gather(*(accepts(one, token) for one in processes for token in tokens))
        assert found == [False, True] * 4
        clock.now += 1
    assert fake.asked[JWKS] == 1


async def test_a_minute_that_another_process_began_is_not_begun_again(
    fake: FakeIssuer, clock: Clock, valkey_client: Valkey
) -> None:
    now = [1e9]
    shared = SharedFetches(valkey_client, Signer(KEYS, lambda: now[0]), wall_clock=lambda: now[0])
    first, second = (Issuer(fake.settings(), shared=shared, monotonic=clock) for _ in range(2))
    assert await accepts(first, fake.token())
    fake.rotate("second")
    clock.now, now[0] = clock.now + 50, now[0] + 50
    assert not await accepts(second, fake.token()), "it has what the first one fetched fifty seconds ago"
    clock.now, now[0] = clock.now + 10, now[0] + 10
    await valkey_client.delete(*await valkey_client.keys("*:claim"))  # Which a real minute would have ended.
    assert await accepts(second, fake.token()), "the minute began with that fetch"
    assert fake.asked[JWKS] == 2


async def test_documents_in_valkey_that_nobody_of_us_signed_are_not_believed(
    fake: FakeIssuer, clock: Clock, valkey_client: Valkey
) -> None:
    attacker, stolen = FakeIssuer(0), fake.token()
    attacker.url = fake.url
    attacker.rotate("attackers")
    key = f"taskforge:fetched:keys of {fake.url}".encode()
    forged = STRANGER.sign("fetched", key, struct.pack(">d", time.time()) + attacker.jwks(), seconds=60)
    await valkey_client.set(key, forged)
    issuer = Issuer(fake.settings(), shared=SharedFetches(valkey_client, SIGNER), monotonic=clock)
    assert not await accepts(issuer, attacker.token())
    assert await accepts(issuer, stolen)


async def test_without_valkey_each_process_fetches_for_itself(fake: FakeIssuer, clock: Clock) -> None:
    async with open_valkey("valkey://127.0.0.1:9/0") as nobody:
        processes = [Issuer(fake.settings(), shared=SharedFetches(nobody, SIGNER), monotonic=clock) for _ in range(2)]
        assert all(await asyncio.gather(*(accepts(one, fake.token()) for one in processes)))
    assert fake.asked[JWKS] == 2


async def test_a_new_key_is_found_and_an_old_one_is_given_up(issuer: Issuer, fake: FakeIssuer, clock: Clock) -> None:
    before = fake.token()
    assert await accepts(issuer, before)
    fake.rotate("second")
    assert not await accepts(issuer, fake.token())
    clock.now += INTERVAL_SECONDS
    assert await accepts(issuer, fake.token())
    assert not await accepts(issuer, before)


async def test_a_withdrawn_key_is_not_believed_long_though_nobody_names_a_new_one(
    issuer: Issuer, fake: FakeIssuer, clock: Clock
) -> None:
    before = fake.token()
    assert await accepts(issuer, before)
    fake.rotate("second")
    assert await accepts(issuer, before)
    clock.now += FRESH_SECONDS + 1
    assert not await accepts(issuer, before)


async def test_known_keys_go_on_while_the_issuer_is_down_and_unknown_ones_do_not(
    issuer: Issuer, fake: FakeIssuer, clock: Clock
) -> None:
    known = fake.token()
    assert await accepts(issuer, known)
    fake.down, began, asked = True, clock.now, fake.asked[JWKS]
    unknown = fake.token({"kid": "unknown"})
    while clock.now < began + 600:
        assert await accepts(issuer, known)
        assert not await accepts(issuer, unknown)
        clock.now += 5
    assert fake.asked[JWKS] - asked <= 10
    fake.down = False
    clock.now += INTERVAL_SECONDS
    fake.rotate("after")
    assert await accepts(issuer, fake.token())


async def test_known_keys_end_a_day_after_they_were_fetched(issuer: Issuer, fake: FakeIssuer, clock: Clock) -> None:
    assert await accepts(issuer, fake.token())
    fake.down = True
    clock.now += STALE_SECONDS
    assert await accepts(issuer, fake.token())
    clock.now += 1
    assert not await accepts(issuer, fake.token())


async def test_without_any_key_ever_the_client_is_asked_to_come_again(
    issuer: Issuer, fake: FakeIssuer, clock: Clock
) -> None:
    fake.down = True
    with pytest.raises(Unavailable) as caught:
        await issuer.verified(fake.token().encode())
    assert caught.value.retry_after == INTERVAL_SECONDS
    clock.now += 20
    with pytest.raises(Unavailable) as caught:
        await issuer.verified(fake.token().encode())
    assert (caught.value.retry_after, fake.asked[JWKS]) == (INTERVAL_SECONDS - 20, 1)
    fake.down = False
    clock.now += 40
    assert await accepts(issuer, fake.token())


async def test_the_discovery_document_says_where_the_keys_are(fake: FakeIssuer, clock: Clock) -> None:
    issuer = Issuer(fake.settings(jwks_url=None), monotonic=clock)
    assert await accepts(issuer, fake.token())
    assert fake.asked == {DISCOVERY: 1, JWKS: 1}


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://another.example.org", "jwks_uri": "https://another.example.org/keys"},
        {"jwks_uri": "https://another.example.org/keys"},
        {"issuer": ..., "jwks_uri": "file:///etc/passwd"},
        {"issuer": ..., "jwks_uri": "ftp://example.org/keys"},
        {"issuer": ..., "jwks_uri": 1},
        [],
    ],
)
async def test_a_discovery_document_that_is_not_the_issuers_is_refused(
    fake: FakeIssuer, clock: Clock, document: Any
) -> None:
    if isinstance(document, dict) and document.get("issuer") is ...:
        document = {**document, "issuer": fake.url}
    fake.answers[DISCOVERY] = (200, {}, json.dumps(document).encode())
    issuer = Issuer(fake.settings(jwks_url=None), monotonic=clock)
    with pytest.raises(Unavailable):
        await issuer.verified(fake.token().encode())


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (302, {"Location": "/keys"}, b""),
        (404, {}, b"{}"),
        (500, {}, b"{}"),
        (204, {}, b""),
        (200, {}, b" " * (LARGEST + 1)),
    ],
    ids=["a redirect", "not found", "a mistake", "nothing", "too much"],
)
async def test_only_a_whole_answer_of_some_size_counts(
    fake: FakeIssuer, status: int, headers: dict[str, str], body: bytes
) -> None:
    fake.answers["/answer"] = (status, headers, body)
    with pytest.raises(FetchFailed):
        await fetch(fake.url + "/answer")
    assert fake.asked == {"/answer": 1}


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        with pytest.raises(FetchFailed, match="no answer within"):
            await fetch(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seconds=0.05)


@pytest.mark.parametrize("url", ["http://192.0.2.1/keys", "file:///etc/passwd", "http:///keys", "https://", "keys"])
async def test_only_https_and_loopback_are_asked(url: str) -> None:
    with pytest.raises(FetchFailed):
        await fetch(url)


async def test_a_certificate_that_nobody_vouches_for_is_refused(fake: FakeIssuer) -> None:
    """The fake issuer speaks no TLS at all, which is no answer either."""
    with pytest.raises(FetchFailed):
        await fetch(fake.url.replace("http:", "https:"), tls=ssl.create_default_context())
