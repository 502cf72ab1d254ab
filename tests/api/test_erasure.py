"""`DELETE /v1/me`: who may end an account, when not, and what is answered."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from msgspec import structs

from core.commands import AddMember
from db.settings import DatabaseSettings
from db.transaction import writing
from tests.support.asking import by
from tests.support.desk import Desk, new_key, problem
from tests.support.site import Person, serving, settings_for

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"


async def leave(desk: Desk, person: Person, password: Any = PASSWORD, **headers: str) -> httpx.Response:
    body = {} if password is None else {"password": password}
    return await desk.client.request("DELETE", "/v1/me", json=body, headers={**person.headers, **headers})


async def test_the_password_starts_an_operation_that_its_user_can_read(desk: Desk) -> None:
    person = await desk.site.person()
    answer = await leave(desk, person)
    assert answer.status_code == 202, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["kind"], body["status"], body["error"]) == ("erasure", "waiting", None)
    assert [step["name"] for step in body["steps"]] == [
        "note", "leave", "close", "redact", "farewell", "forget", "tell",
    ]  # fmt: skip
    read = await desk.client.get(answer.headers["location"], headers=person.headers)
    assert (read.status_code, read.json()["id"]) == (200, body["id"])


async def test_asked_twice_it_is_one_operation(desk: Desk) -> None:
    person = await desk.site.person()
    first, second = await leave(desk, person), await leave(desk, person)
    assert first.status_code == second.status_code == 202
    assert first.headers["location"] == second.headers["location"]


async def test_a_key_answers_the_same_and_refuses_another_password(desk: Desk) -> None:
    person, key = await desk.site.person(), new_key()
    first = await leave(desk, person, **{"Idempotency-Key": key})
    again = await leave(desk, person, **{"Idempotency-Key": key})
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    other = await leave(desk, person, "another password", **{"Idempotency-Key": key})
    problem(other, 422, "idempotency-key-reused")


@pytest.mark.parametrize("password", ["wrong", "", None])
async def test_without_the_password_nothing_is_started(desk: Desk, password: Any) -> None:
    person = await desk.site.person()
    refused = problem(await leave(desk, person, password), 400, "bad-input")
    assert refused["errors"][0]["pointer"] == "/password"


async def test_unknown_fields_are_refused(desk: Desk) -> None:
    person = await desk.site.person()
    body = {"password": PASSWORD, "user_id": desk["owner"].user_id}
    answer = await desk.client.request("DELETE", "/v1/me", json=body, headers=person.headers)
    problem(answer, 400, "bad-input")


async def test_an_api_key_ends_no_account(desk: Desk) -> None:
    person = await desk.site.person()
    made = await desk.client.post("/v1/me/api-keys", json={"name": "k", "scopes": ["admin"]}, headers=person.headers)
    key = {"Authorization": f"Bearer {made.json()['token']}"}
    answer = await desk.client.request("DELETE", "/v1/me", json={"password": PASSWORD}, headers=key)
    problem(answer, 403, "forbidden")
    problem(await desk.client.request("DELETE", "/v1/me", json={"password": PASSWORD}), 401, "unauthenticated")


async def test_the_only_owner_of_teams_is_told_which_and_stays(desk: Desk) -> None:
    person, other = await desk.site.person(), await desk.site.person()
    alone, shared = await desk.site.team(person), await desk.site.team(person)
    command = AddMember(UUID(other.user_id), "Bob", "owner")
    await desk.site.services.teams.ask(UUID(shared), command, by(person.user_id))
    refused = problem(await leave(desk, person), 409, "conflict")
    assert refused["reason"] == "last-owner"
    assert alone in refused["detail"]
    assert shared not in refused["detail"]
    assert (await desk.client.get("/v1/me", headers=person.headers)).status_code == 200


async def test_an_account_without_a_password_needs_a_session_that_has_just_begun(desk: Desk) -> None:
    fresh, stale = await desk.site.person(), await desk.site.person()
    services = desk.site.services
    for person in (fresh, stale):
        async with writing(services.pools.api, UUID(person.user_id)) as tx:
            await tx.execute("update users set password_hash = null where id = $1", UUID(person.user_id))
    moved = services.clock.now
    assert (await leave(desk, fresh, None)).status_code == 202
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(services.clock), "now", lambda _: moved() + timedelta(minutes=5, seconds=1))
        refused = problem(await leave(desk, stale, None), 403, "forbidden")
    assert refused["permission"] == "delete_account"


async def test_guesses_at_the_password_are_counted_with_those_of_a_change(
    database: DatabaseSettings, valkey_url: str
) -> None:
    settings = settings_for(database, valkey_url)
    settings = structs.replace(settings, limits=structs.replace(settings.limits, password=4))
    async with serving(settings) as site:
        ada = await site.person()
        for number in range(2):
            body = {"password": f"a wrong guess {number}"}
            problem(await site.client.request("DELETE", "/v1/me", json=body, headers=ada.headers), 400, "bad-input")
            change = {**body, "new_password": "another long password"}
            problem(
                await site.client.post("/v1/auth/password-change", json=change, headers=ada.headers), 400, "bad-input"
            )
        last = await site.client.request("DELETE", "/v1/me", json={"password": "x" * 10}, headers=ada.headers)
        problem(last, 429, "rate-limited")
