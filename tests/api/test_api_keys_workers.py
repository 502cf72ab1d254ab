"""API keys on workers and databases of a test's own: what is stored of them, and how workers hear of their end."""

import asyncio
import logging
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from msgspec import structs

from core.errors import StorageUnavailable
from core.quotas import Quotas
from db.settings import DatabaseSettings
from tests.support.desk import new_key, problem
from tests.support.keys import make_key
from tests.support.site import Person, Site, frame, frames_until_closed, serving, settings_for
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

PATH = "/v1/me/api-keys"
BODY = {"name": "Nightly import", "scopes": ["write"]}


@pytest.fixture
async def sites(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[tuple[Site, Site]]:
    """Two workers over one database."""
    settings = settings_for(database, valkey_url)
    async with serving(settings) as here, serving(settings) as there:
        yield here, there


async def is_refused(site: Site, person: Person) -> bool:
    return (await site.client.get("/v1/me", headers=person.headers)).status_code == 401


async def test_a_revoked_key_ends_on_other_workers_with_its_feeds_within_two_seconds(sites: tuple[Site, Site]) -> None:
    here, there = sites
    ada = await here.person()
    team = await here.team(ada)
    key, other = await make_key(here, ada), await make_key(here, ada)
    async with (
        there.live(team, key.person) as live,
        there.stream(team, key.person) as stream,
        there.live(team, other.person) as kept,
    ):
        await frame(live, "hello")
        await frame(kept, "hello")
        await stream.next()
        async with asyncio.timeout(2):
            assert (await here.client.delete(f"{PATH}/{key.id}", headers=ada.headers)).status_code == 204
            assert await frames_until_closed(live) == ([], 4401, "authenticate again")
            assert await stream.next() == {}
        for site in sites:
            problem(await site.client.get("/v1/me", headers=key.headers), 401, "unauthenticated")
            assert (await site.client.get("/v1/me", headers=other.headers)).status_code == 200
        await here.task(ada, team)
        await frame(kept, "event")


async def test_without_valkey_other_workers_hear_of_it_from_postgres(
    sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = sites
    ada = await here.person()
    key = await make_key(here, ada)
    assert (await there.client.get("/v1/me", headers=key.headers)).status_code == 200

    async def say_nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(here.services.revocations._valkey, "publish", say_nothing)
    assert (await here.client.delete(f"{PATH}/{key.id}", headers=ada.headers)).status_code == 204
    await until_answered(lambda: is_refused(there, key.person), seconds=10)


async def test_a_key_that_was_made_on_one_worker_works_on_the_other_at_once(sites: tuple[Site, Site]) -> None:
    here, there = sites
    ada = await here.person()
    for _ in range(5):
        key = await make_key(here, ada, "write")
        assert (await there.client.get("/v1/me", headers=key.headers)).status_code == 200


async def test_an_unreachable_database_is_no_refusal(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await own_site.person()
    key = await make_key(own_site, ada)

    async def down(_: bytes) -> None:
        raise StorageUnavailable("The database cannot be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(own_site.services.api_keys, "find", down)
        answer = await own_site.client.get("/v1/me", headers=key.headers)
        problem(answer, 503, "storage-unavailable")
    assert (await own_site.client.get("/v1/me", headers=key.headers)).status_code == 200


async def test_there_are_no_more_keys_than_the_quota_says(database: DatabaseSettings, valkey_url: str) -> None:
    settings = structs.replace(settings_for(database, valkey_url), quotas=Quotas(api_keys_per_user=2))
    async with serving(settings) as site:
        ada, same = await site.person(), new_key()

        async def once_more(key: str) -> httpx.Response:
            return await site.client.post(PATH, json=BODY, headers={**ada.headers, "Idempotency-Key": key})

        first = await make_key(site, ada)
        last = await once_more(same)
        document = problem(await once_more(new_key()), 409, "quota-reached")
        assert (document["quota"], document["limit"]) == ("api-keys-per-user", 2)
        assert (await once_more(same)).content == last.content
        await site.client.delete(f"{PATH}/{first.id}", headers=ada.headers)
        assert (await once_more(new_key())).status_code == 201


async def test_a_stored_answer_is_sealed_and_good_for_ten_minutes(
    own_site: Site, superuser: "asyncpg.Connection"
) -> None:
    ada = await own_site.person()
    headers = {**ada.headers, "Idempotency-Key": new_key()}

    async def again() -> httpx.Response:
        return await own_site.client.post(PATH, json=BODY, headers=headers)

    first = await again()
    (stored,) = await superuser.fetch("select body from idempotency_keys")
    assert first.json()["token"].encode() not in stored["body"]
    assert b"token" not in stored["body"]
    await superuser.execute("update idempotency_keys set created_at = now() - interval '9 minutes'")
    assert (await again()).content == first.content
    await superuser.execute("update idempotency_keys set created_at = now() - interval '11 minutes'")
    late = await again()
    assert late.status_code == 201
    assert "idempotent-replayed" not in late.headers
    assert late.json()["token"] != first.json()["token"]


async def test_no_table_and_no_log_holds_a_key(
    own_site: Site, superuser: "asyncpg.Connection", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ada = await own_site.person()
    team = await own_site.team(ada)
    answer = await own_site.client.post(PATH, json=BODY, headers={**ada.headers, "Idempotency-Key": new_key()})
    token = answer.json()["token"]
    key = {"Authorization": f"Bearer {token}"}
    await own_site.client.post("/v1/tasks", json={"team_id": team, "title": "By a key"}, headers=key)
    await own_site.client.delete(f"{PATH}/{answer.json()['id']}", headers=ada.headers)
    problem(await own_site.client.get("/v1/me", headers=key), 401, "unauthenticated")
    tables = await superuser.fetch("select tablename from pg_tables where schemaname = 'public'")
    found = [row[0] for table in tables for row in await superuser.fetch(f"select t::text from {table[0]} as t")]
    assert any(ada.user_id in row for row in found)
    for secret in (token[8:], token.encode().hex(), token[8:].encode().hex()):
        assert not [row for row in found if secret in row]
        assert secret not in caplog.text
    assert caplog.records
