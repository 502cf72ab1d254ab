"""Signing in by another issuer, step by step: what the browser is sent, and what ends a sign-in that is not right."""

import hashlib
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from msgspec import structs

from api.settings import AuthSettings, HttpSettings
from core.secret import Secret
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.api.conftest import RUNNING
from tests.support.desk import new_key, problem
from tests.support.issuer import DISCOVERY, TOKENS, USERINFO, FakeIssuer, faking
from tests.support.leaks import leak_free
from tests.support.site import Site, serving, settings_for

pytestmark = pytest.mark.anyio

CLIENT, SECRET = "our client", "a client's secret: 100 %"
BEGIN = "/v1/auth/oidc/fake"


@pytest.fixture(scope="module")
async def fake() -> AsyncIterator[FakeIssuer]:
    async with faking() as issuer:
        yield issuer


@pytest.fixture(scope="module")
async def site(services: DevStack, module_database: DatabaseSettings, fake: FakeIssuer) -> AsyncIterator[Site]:
    await services.valkey.start()
    login = {"client_id": CLIENT, "jwks_url": None, "audience": None}
    issuers = (
        fake.settings(**login, client_secret=Secret(SECRET), label="Fake & Co"),
        fake.settings(name="away", issuer="http://127.0.0.1:9", client_id=CLIENT, jwks_url=None),
        fake.settings(name="tokens-only", issuer=fake.url + "/other"),
    )
    settings = settings_for(module_database, services.valkey.url)
    http = HttpSettings(public_url="https://tasks.example.org/")
    settings = structs.replace(settings, auth=AuthSettings(issuers=issuers), http=http)
    async with leak_free(), serving(settings) as running:
        RUNNING.append(running)
        yield running
        RUNNING.remove(running)


@pytest.fixture(autouse=True)
def usual(fake: FakeIssuer) -> None:
    fake.answers.clear()


class Browser:
    """A sign-in under way: `sent` is the query with which the browser went to the issuer."""

    def __init__(self, site: Site, fake: FakeIssuer, begun: httpx.Response) -> None:
        self.site, self.fake = site, fake
        self.cookie = begun.headers["set-cookie"].partition(";")[0]
        self.sent = {name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()}

    @classmethod
    async def begin(cls, site: Site, fake: FakeIssuer) -> "Browser":
        begun = await site.client.get(BEGIN)
        assert begun.status_code == 302, begun.text
        return cls(site, fake, begun)

    def grant(self, *, access_token: str | None = "opaque", header: Any = None, **claims: Any) -> None:
        """What the issuer will answer to the code; `claims` change those of a good ID token."""
        good = {"aud": CLIENT, "nonce": self.sent["nonce"], "email": "kim@example.org", "email_verified": True}
        answer = {"id_token": self.fake.token(header, **{**good, **claims}), "access_token": access_token}
        self.fake.answers.setdefault(USERINFO, (200, {}, json.dumps({"sub": claims.get("sub")}, default=str).encode()))
        self.fake.answers[TOKENS] = (200, {}, json.dumps({**answer, "token_type": "Bearer"}).encode())

    async def come_back(self, *, cookie: bool = True, **query: str) -> httpx.Response:
        given = {"code": "the code", "state": self.sent["state"], **query}
        headers = {"Cookie": f"other=1; {self.cookie}"} if cookie else {}
        answer = await self.site.client.get(BEGIN + "/callback", params=given, headers=headers)
        assert answer.status_code == 302, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer

    async def failed(self, **query: Any) -> str:
        """The word with which the page is told that it did not work."""
        where = (await self.come_back(**query)).headers["location"]
        assert where.startswith("/sign-in#error="), where
        return str(where.partition("=")[2])

    async def exchange(self, code: str, *, cookie: str | None = None, **headers: str) -> httpx.Response:
        headers = {"Cookie": cookie or self.cookie, **headers}
        return await self.site.client.post("/v1/auth/oidc/tokens", json={"code": code}, headers=headers)

    async def code(self) -> str:
        where = (await self.come_back()).headers["location"]
        assert where.startswith("/sign-in#code="), where
        return str(where.partition("=")[2])


async def link(browser: Browser, headers: dict[str, str], proof: str) -> httpx.Response:
    """Link what was proven, as the page of that browser would."""
    given = {**headers, "Cookie": browser.cookie}
    return await browser.site.client.post("/v1/me/identities", json={"proof": proof}, headers=given)


async def signed_in(site: Site, email: str) -> dict[str, str]:
    body = {"email": email, "password": "correct horse battery"}
    tokens = (await site.client.post("/v1/auth/login", json=body)).raise_for_status().json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def id_of(site: Site, headers: dict[str, str]) -> str:
    return str((await site.client.get("/v1/me", headers=headers)).raise_for_status().json()["id"])


@pytest.fixture
async def browser(site: Site, fake: FakeIssuer) -> Browser:
    return await Browser.begin(site, fake)


async def test_the_page_learns_by_which_issuers_people_can_sign_in(site: Site) -> None:
    offered = await site.client.get("/v1/auth/oidc")
    items = [{"name": "fake", "label": "Fake & Co"}, {"name": "away", "label": "away"}]
    assert offered.json() == {"items": items, "next_cursor": None}


async def test_the_browser_is_sent_with_pkce_state_and_nonce_and_keeps_a_sealed_cookie(
    site: Site, fake: FakeIssuer
) -> None:
    begun = await site.client.get(BEGIN)
    where, sent = begun.headers["location"], Browser(site, fake, begun).sent
    assert where.startswith(fake.url + "/authorize?x=1&")
    assert (sent["response_type"], sent["client_id"], sent["code_challenge_method"]) == ("code", CLIENT, "S256")
    assert sent["redirect_uri"] == "https://tasks.example.org/v1/auth/oidc/fake/callback"
    assert "openid" in sent["scope"].split()
    assert len({sent["state"], sent["nonce"], sent["code_challenge"]}) == 3
    name, attributes = begun.headers["set-cookie"].split("=", 1)[0], begun.headers["set-cookie"].split("; ")[1:]
    assert name == "__Host-taskforge-sign-in"
    assert set(attributes) == {"Max-Age=600", "Path=/", "HttpOnly", "SameSite=Lax", "Secure"}
    assert not [name for name in ("state", "nonce") if sent[name] in begun.headers["set-cookie"]]


async def test_a_sign_in_gets_tokens_once_in_its_own_browser(site: Site, fake: FakeIssuer, browser: Browser) -> None:
    browser.grant(sub="kim", name="Kim")
    code = await browser.code()
    head, body = fake.received[TOKENS]
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert urlsafe_b64encode(digest).rstrip(b"=").decode() == browser.sent["code_challenge"]
    assert (form["code"], form["grant_type"]) == ("the code", "authorization_code")
    given = b64decode(head.split(b"Basic ")[1].split(b"\r")[0]).decode()
    assert given == "our+client:a+client%27s+secret%3A+100+%25"
    other = await Browser.begin(site, fake)
    problem(await browser.exchange(code, cookie=other.cookie), 400, "bad-input")
    problem(await browser.exchange(code, cookie="none=1"), 400, "bad-input")
    answer = await browser.exchange(code)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    tokens = answer.json()
    me = await site.client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert (me.json()["email"], me.json()["name"]) == ("kim@example.org", "Kim")
    problem(await browser.exchange(code), 400, "bad-input")
    refreshed = await site.client.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200


async def test_a_lost_answer_is_given_again_under_its_key(browser: Browser) -> None:
    browser.grant(sub="lost", email=...)
    code, key = await browser.code(), new_key()
    first = await browser.exchange(code, **{"Idempotency-Key": key})
    second = await browser.exchange(code, **{"Idempotency-Key": key})
    assert (first.status_code, second.status_code, first.content) == (200, 200, second.content)
    assert second.headers["idempotent-replayed"] == "true"
    problem(await browser.exchange(code, cookie="none=1", **{"Idempotency-Key": key}), 400, "bad-input")


async def test_the_same_person_comes_back_to_the_same_account(site: Site, fake: FakeIssuer) -> None:
    found = set()
    for _ in range(2):
        browser = await Browser.begin(site, fake)
        browser.grant(sub="again", email=...)
        tokens = (await browser.exchange(await browser.code())).json()
        me = await site.client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        found.add(me.json()["id"])
    assert len(found) == 1


async def test_what_only_userinfo_says_is_asked_for(site: Site, fake: FakeIssuer, browser: Browser) -> None:
    about = {"sub": "asked", "email": "asked@example.org", "email_verified": True, "name": "Asked"}
    fake.answers[USERINFO] = (200, {}, json.dumps(about).encode())
    browser.grant(sub="asked", email=..., email_verified=...)
    tokens = (await browser.exchange(await browser.code())).json()
    assert b"Authorization: Bearer opaque" in fake.received[USERINFO][0]
    me = await site.client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert (me.json()["email"], me.json()["name"]) == ("asked@example.org", "Asked")


async def test_userinfo_of_somebody_else_is_refused(fake: FakeIssuer, browser: Browser) -> None:
    fake.answers[USERINFO] = (200, {}, b'{"sub": "eve", "email": "eve@example.org"}')
    browser.grant(sub="kim", email=...)
    assert await browser.failed() == "refused"


async def test_a_state_comes_back_once_and_in_its_own_browser_only(
    site: Site, fake: FakeIssuer, browser: Browser
) -> None:
    browser.grant(sub="once", email=...)
    assert await browser.failed(cookie=False) == "expired"
    assert await browser.failed(state="another") == "expired"
    assert await browser.failed(state="") == "expired"
    other = await Browser.begin(site, fake)
    assert await other.failed(state=browser.sent["state"]) == "expired"
    asked = fake.asked[TOKENS]
    assert (await browser.come_back()).headers["location"].startswith("/sign-in#code=")
    assert fake.asked[TOKENS] == asked + 1
    assert await browser.failed() == "expired"


@pytest.mark.parametrize("cookie", ["", "x", "A" * 5_000, "%00", "é"])
async def test_a_cookie_that_is_none_of_ours_is_no_sign_in(browser: Browser, cookie: str) -> None:
    headers = {b"Cookie": b"__Host-taskforge-sign-in=" + cookie.encode("latin-1")}
    query = {"code": "the code", "state": browser.sent["state"]}
    answer = await browser.site.client.get(BEGIN + "/callback", params=query, headers=headers)
    assert answer.headers["location"] == "/sign-in#error=expired"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": ...},
        {"nonce": 1},
        {"aud": "another client"},
        {"aud": ["another client", CLIENT]},
        {"aud": [CLIENT, "another client"], "azp": "another client"},
        {"azp": "another client"},
        {"iss": "https://another.example.org"},
        {"exp": 1},
        {"exp": ...},
        {"iat": ...},
        {"sub": ...},
        {"sub": ""},
        {"at_hash": "another"},
        {"at_hash": 1},
    ],
    ids=str,
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(browser: Browser, claims: dict[str, Any]) -> None:
    browser.grant(**{"sub": "kim", "email": ..., **claims})
    assert await browser.failed() == "refused"


async def test_an_id_token_with_the_right_hash_and_party_is_accepted(browser: Browser) -> None:
    half = hashlib.sha256(b"opaque").digest()[:16]
    at_hash = urlsafe_b64encode(half).rstrip(b"=").decode()
    browser.grant(sub="hashed", email=..., at_hash=at_hash, aud=[CLIENT, "another"], azp=CLIENT)
    assert await browser.code()


async def test_an_id_token_of_another_key_is_refused(fake: FakeIssuer, browser: Browser) -> None:
    kept = fake.keys
    fake.rotate("first")
    try:
        browser.grant(sub="kim", email=...)
        assert await browser.failed() == "refused"
    finally:
        fake.keys = kept


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (400, b'{"error": "invalid_grant"}', "refused"),
        (200, b"{}", "refused"),
        (200, b"[]", "refused"),
        (200, b'{"id_token": 1}', "refused"),
        (200, b'{"id_token": "a.b.c"}', "refused"),
        (200, b"\xff", "refused"),
    ],
)
async def test_a_strange_answer_to_the_code_is_refused(
    fake: FakeIssuer, browser: Browser, status: int, body: bytes, why: str
) -> None:
    fake.answers[TOKENS] = (status, {}, body)
    assert await browser.failed() == why


async def test_an_answer_of_another_issuer_is_refused_before_the_code_is_used(
    fake: FakeIssuer, browser: Browser
) -> None:
    asked = fake.asked[TOKENS]
    assert await browser.failed(iss="https://another.example.org") == "refused"
    assert fake.asked[TOKENS] == asked
    browser.grant(sub="mixed", email=...)
    assert (await browser.come_back(iss=fake.url)).headers["location"].startswith("/sign-in#code=")


async def test_a_no_of_the_issuer_or_the_person_is_told_to_the_page(browser: Browser) -> None:
    assert await browser.failed(error="access_denied") == "cancelled"
    assert await browser.failed(error="server_error", error_description="<script>") == "refused"


async def test_an_issuer_that_cannot_be_reached_is_told_to_the_page(site: Site) -> None:
    answer = await site.client.get("/v1/auth/oidc/away")
    assert answer.headers["location"] == "/sign-in#error=unavailable"


async def test_an_id_token_is_no_access_token(site: Site, fake: FakeIssuer) -> None:
    """Neither where the issuer's access tokens are not accepted at all, nor by its client id."""
    for token in (fake.token(aud=CLIENT, nonce="x"), fake.token(aud=[CLIENT]), fake.token()):
        answer = await site.client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("name", ["unknown", "tokens-only", "..%2f", "%00"])
async def test_there_is_no_sign_in_by_an_issuer_without_a_client(site: Site, name: str) -> None:
    for path in (f"/v1/auth/oidc/{name}", f"/v1/auth/oidc/{name}/callback"):
        problem(await site.client.get(path), 404, "not-found")


async def test_an_account_with_the_address_that_nobody_verified_is_not_joined(site: Site, browser: Browser) -> None:
    body = {"email": "taken@example.org", "password": "correct horse battery", "name": "Taken"}
    (await site.client.post("/v1/auth/signup", json=body)).raise_for_status()
    browser.grant(sub="taken", email="Taken@example.org")
    error, _, proof = (await browser.failed()).partition("&proof=")
    assert error == "email-taken"
    me = await signed_in(site, "taken@example.org")
    eve = await site.person()
    other = await Browser.begin(site, browser.fake)
    assert problem(await link(other, me, proof), 400, "bad-input")["errors"][0]["pointer"] == "/proof"
    assert "another e-mail address" in problem(await link(browser, eve.headers, proof), 400, "bad-input")["detail"]
    linked = await link(browser, me, proof)
    assert (linked.status_code, linked.json()["subject"]) == (201, "taken")
    again = await Browser.begin(site, browser.fake)
    again.grant(sub="taken", email="Taken@example.org")
    tokens = (await again.exchange(await again.code())).json()
    assert await id_of(site, {"Authorization": f"Bearer {tokens['access_token']}"}) == await id_of(site, me)


async def test_an_address_that_the_issuer_did_not_verify_gets_no_proof(site: Site, browser: Browser) -> None:
    body = {"email": "unproven@example.org", "password": "correct horse battery", "name": "Taken"}
    (await site.client.post("/v1/auth/signup", json=body)).raise_for_status()
    browser.grant(sub="unproven", email="unproven@example.org", email_verified=False)
    assert await browser.failed() == "email-taken"


async def test_who_is_signed_in_links_an_identity_that_began_on_our_page(site: Site, fake: FakeIssuer) -> None:
    for begun_by in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}):
        refused = await site.client.get(BEGIN + "?link=true", headers=begun_by)
        assert refused.headers["location"] == "/sign-in#error=refused"
    problem(await site.client.get(BEGIN + "?link=yes"), 400, "bad-input")
    begun = await site.client.get(BEGIN + "?link=true", headers={"Sec-Fetch-Site": "same-origin"})
    browser, ada = Browser(site, fake, begun), await site.person()
    browser.grant(sub="to be linked", email="whatever@example.org")
    where = (await browser.come_back()).headers["location"]
    assert where.startswith("/sign-in#proof=")
    proof = where.partition("=")[2]
    for bad in ("", "x", proof[:-4], browser.cookie.partition("=")[2]):
        problem(await link(browser, ada.headers, bad), 400, "bad-input")
    assert (await link(browser, ada.headers, proof)).status_code == 201
    eve = await site.person()
    assert problem(await link(browser, eve.headers, proof), 409, "conflict")["reason"] == "identity-taken"
    for both in ({}, {"token": "x", "proof": proof}):
        problem(await site.client.post("/v1/me/identities", json=both, headers=ada.headers), 400, "bad-input")


async def test_hostile_queries_end_at_the_page(site: Site) -> None:
    for query in ("&".join(f"a{n}=1" for n in range(50)), "state=%ff%fe", "code=%00", "error=" + "x" * 1_000):
        answer = await site.client.get(f"{BEGIN}/callback?{query}")
        assert answer.headers["location"] == "/sign-in#error=expired"


async def test_the_discovery_document_was_fetched_once(fake: FakeIssuer) -> None:
    assert fake.asked[DISCOVERY] == 1
