"""Tokens of other issuers as credentials: whose they are, what they may not do, how they end and are linked."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from api.auth.external_issuers import ExternalIssuers
from api.auth.tokens import AccessTokens
from api.settings import AuthSettings
from core.errors import Unauthenticated
from core.secret import Secret
from db.keyset import Keyset
from db.settings import DatabaseSettings
from db.transaction import writing
from taskforge.devstack import DevStack
from tests.api.conftest import RUNNING
from tests.api.test_passwords import NEW, OLD, ask_for_reset, auth, log_in
from tests.support.desk import Desk, new_key, problem
from tests.support.issuer import FakeIssuer, faking
from tests.support.leaks import leak_free
from tests.support.site import Person, Site, frame, frames_until_closed, serving, settings_for

pytestmark = pytest.mark.anyio

PATH = "/v1/me/identities"
KEYS = Keyset([Secret("0123456789abcdef0123456789abcdef-secret")])


@pytest.fixture(scope="module")
async def fake() -> AsyncIterator[FakeIssuer]:
    async with faking() as issuer:
        yield issuer


@pytest.fixture(scope="module")
async def site(services: DevStack, module_database: DatabaseSettings, fake: FakeIssuer) -> AsyncIterator[Site]:
    await services.valkey.start()
    settings = settings_for(module_database, services.valkey.url)
    settings = structs.replace(settings, auth=AuthSettings(issuers=(fake.settings(),)))
    async with leak_free(), serving(settings) as running:
        RUNNING.append(running)
        yield running
        RUNNING.remove(running)


def by(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def link(site: Site, person: Person, token: str, **headers: str) -> Any:
    return await site.client.post(PATH, json={"token": token}, headers={**person.headers, **headers})


async def test_a_token_of_another_issuer_makes_a_team_and_its_tasks(site: Site, fake: FakeIssuer) -> None:
    kim = Person("", fake.token(sub="kim", name="Kim", email="kim@example.org", email_verified=True), "")
    team = await site.team(kim)
    task = await site.task(kim, team)
    answer = await site.client.get(f"/v1/tasks/{task['id']}", headers=kim.headers)
    assert answer.status_code == 200
    me = (await site.client.get("/v1/me", headers=kim.headers)).json()
    assert (me["name"], me["email"], task["created_by"]) == ("Kim", "kim@example.org", me["id"])
    async with site.stream(team, kim, "?after=0") as stream:
        assert await stream.seqs(2) == [1, 2]


async def test_sixteen_first_requests_at_once_are_one_account(site: Site, fake: FakeIssuer) -> None:
    tokens = [fake.token(sub="racer", jti=number) for number in range(16)]
    answers = await asyncio.gather(*(site.client.get("/v1/me", headers=by(token)) for token in tokens))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_token_of_another_issuer_is_no_session_of_ours(site: Site, fake: FakeIssuer) -> None:
    headers = by(fake.token(sub="guest"))
    for method, path in (("GET", PATH), ("GET", "/v1/me/api-keys"), ("DELETE", "/v1/me/sessions")):
        answer = await site.client.request(method, path, headers=headers)
        assert problem(answer, 403, "forbidden")["permission"] == "manage_account"


async def test_an_address_of_an_account_that_did_not_verify_it_is_a_conflict(site: Site, fake: FakeIssuer) -> None:
    ada = await site.person()
    email = (await site.client.get("/v1/me", headers=ada.headers)).json()["email"]
    token = fake.token(sub="not ada", email=email, email_verified=True)
    refused = problem(await site.client.get("/v1/me", headers=by(token)), 409, "conflict")
    assert refused["reason"] == "email-taken"
    assert (await link(site, ada, token)).status_code == 201
    me = await site.client.get("/v1/me", headers=by(token))
    assert (me.status_code, me.json()["id"]) == (200, ada.user_id)


async def test_linking_twice_and_under_one_key_is_linking_once(site: Site, fake: FakeIssuer) -> None:
    ada, token, key = await site.person(), fake.token(sub="linked twice"), new_key()
    first = await link(site, ada, token, **{"Idempotency-Key": key})
    again = await link(site, ada, token, **{"Idempotency-Key": key})
    assert (first.status_code, again.status_code, first.content) == (201, 201, again.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert (await link(site, ada, fake.token(sub="linked twice"))).json() == first.json()
    listed = (await site.client.get(PATH, headers=ada.headers)).json()
    assert listed == {"items": [first.json()], "next_cursor": None}


async def test_an_identity_belongs_to_one_account(site: Site, fake: FakeIssuer) -> None:
    ada, eve, token = await site.person(), await site.person(), fake.token(sub="wanted by two")
    assert (await link(site, ada, token)).status_code == 201
    assert problem(await link(site, eve, token), 409, "conflict")["reason"] == "identity-taken"


async def test_an_unlinked_identity_ends_at_once(site: Site, fake: FakeIssuer) -> None:
    ada, token = await site.person(), fake.token(sub="unlinked")
    identity = (await link(site, ada, token)).json()
    assert (await site.client.get("/v1/me", headers=by(token))).json()["id"] == ada.user_id
    problem(
        await site.client.delete(f"{PATH}/{identity['id']}", headers=(await site.person()).headers), 404, "not-found"
    )
    assert (await site.client.delete(f"{PATH}/{identity['id']}", headers=ada.headers)).status_code == 204
    problem(await site.client.get("/v1/me", headers=by(token)), 401, "unauthenticated")
    other = await site.client.get("/v1/me", headers=by(fake.token(sub="unlinked", jti="new")))
    assert other.json()["id"] != ada.user_id


async def test_an_identity_that_ended_unheard_is_good_for_a_minute_at_most(site: Site, fake: FakeIssuer) -> None:
    now, services = [fake.now()], site.services
    tokens = AccessTokens(AuthSettings(), KEYS, services.revocations, wall_clock=lambda: now[0])
    identities = services.external.identities
    issuers = ExternalIssuers((fake.settings(),), identities, tokens, wall_clock=lambda: now[0])
    bearer = f"Bearer {fake.token(sub='unheard')}".encode()
    await issuers.read(bearer)
    user_id = tokens.principal_of(bearer).user_id
    async with writing(services.pools.api, user_id) as tx:
        assert await tx.execute("delete from external_identities") == 1
    now[0] += 59
    assert tokens.principal_of(bearer).user_id == user_id
    assert not issuers.is_unread(bearer)
    now[0] += 1
    with pytest.raises(Unauthenticated):
        tokens.principal_of(bearer)
    assert issuers.is_unread(bearer)
    await issuers.read(bearer)
    assert tokens.principal_of(bearer).user_id != user_id


async def test_a_token_of_ours_is_never_asked_about_elsewhere(site: Site, fake: FakeIssuer) -> None:
    ada, asked = await site.person(), sum(fake.asked.values())
    bearer = f"Bearer {ada.token}".encode()
    assert site.services.tokens.is_own(bearer)
    assert not site.services.external.issuers.is_unread(bearer)
    assert not site.services.tokens.is_own(f"Bearer {fake.token()}".encode())
    assert (await site.client.get("/v1/me", headers=ada.headers)).status_code == 200
    assert sum(fake.asked.values()) == asked


async def test_feeds_are_opened_by_a_token_and_not_by_one_that_has_no_account_to_be(
    site: Site, fake: FakeIssuer
) -> None:
    kim, ada = Person("", fake.token(sub="viewer"), ""), await site.person()
    team = await site.team(kim)
    async with site.live(team, kim, "?after=0") as live:
        assert (await frame(live, "event"))["seq"] == 1
    email = (await site.client.get("/v1/me", headers=ada.headers)).json()["email"]
    taken = Person("", fake.token(sub="no account", email=email, email_verified=True), "")
    async with site.live(team, taken) as live:
        assert (await frames_until_closed(live))[1] == 4401


async def test_the_fetches_of_keys_are_counted(site: Site, fake: FakeIssuer) -> None:
    await site.client.get("/v1/me", headers=by(fake.token(sub="counted")))
    shown = (await site.client.get("/metrics")).text
    assert re.search(r'^taskforge_issuer_fetched_total\{issuer="fake"\} 1\.0$', shown, re.MULTILINE), shown


async def test_who_came_without_a_password_has_one_after_a_reset_and_may_then_unlink(
    site: Site, fake: FakeIssuer
) -> None:
    desk, email = Desk(site), "came-without@example.org"
    kim = Person("", fake.token(sub="without", email=email, email_verified=True), "")
    kim.user_id = (await site.client.get("/v1/me", headers=kim.headers)).json()["id"]
    problem(await log_in(desk, email, ""), 401, "unauthenticated")
    problem(await log_in(desk, email, OLD), 401, "unauthenticated")
    token = await ask_for_reset(desk, kim)
    confirmed = await auth(desk, "password-reset/confirm", {"token": token, "password": NEW})
    assert confirmed.status_code == 204
    access = (await log_in(desk, email, NEW)).raise_for_status().json()["access_token"]
    (identity,) = (await site.client.get(PATH, headers=by(access))).json()["items"]
    assert (await site.client.delete(f"{PATH}/{identity['id']}", headers=by(access))).status_code == 204


async def test_who_proves_an_address_shares_the_account_with_nobody_who_made_it_before(
    site: Site, fake: FakeIssuer
) -> None:
    """Pre-hijacking: somebody signs up with another's address, and prepares ways in for later."""
    thief, desk = await site.person(), await Desk.open(site)
    email = (await site.client.get("/v1/me", headers=thief.headers)).json()["email"]
    token = fake.token(sub="the thief elsewhere")
    assert (await link(site, thief, token)).status_code == 201
    made = await site.client.post("/v1/me/api-keys", json={"name": "k", "scopes": ["admin"]}, headers=thief.headers)
    key = max((str(value) for value in made.raise_for_status().json().values() if "tfk_" in str(value)), key=len)
    assert (await site.client.get("/v1/me", headers=by(key))).status_code == 200
    proof = await ask_for_reset(desk, thief)
    assert (await auth(desk, "password-reset/confirm", {"token": proof, "password": NEW})).status_code == 204
    for way in (key, thief.token):
        problem(await site.client.get("/v1/me", headers=by(way)), 401, "unauthenticated")
    elsewhere = await site.client.get("/v1/me", headers=by(token))
    assert elsewhere.json().get("email") != email
    mine = by((await log_in(desk, email, NEW)).json()["access_token"])
    assert (await site.client.get("/v1/me/identities", headers=mine)).json()["items"] == []
    # Once the address is proven, a forgotten password ends sessions only.
    assert (await site.client.post(PATH, json={"token": fake.token(sub="mine")}, headers=mine)).status_code == 201
    owner = Person(thief.user_id, mine["Authorization"].removeprefix("Bearer "), "")
    proof = await ask_for_reset(desk, owner)
    assert (await auth(desk, "password-reset/confirm", {"token": proof, "password": OLD})).status_code == 204
    mine = by((await log_in(desk, email, OLD)).json()["access_token"])
    assert len((await site.client.get("/v1/me/identities", headers=mine)).json()["items"]) == 1
