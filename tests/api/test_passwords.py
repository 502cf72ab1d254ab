"""A forgotten password, a changed one, and the proof of an address, as people meet them."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from db.people.account_tokens import Purpose
from db.transaction import reading
from tests.support.desk import Desk, new_key, problem
from tests.support.shapes import timeless
from tests.support.site import Person

pytestmark = pytest.mark.anyio

OLD, NEW = "correct horse battery", "staple of another horse"
AGENT = {"User-Agent": "a browser"}


async def email_of(desk: Desk, person: Person) -> str:
    return str((await desk.client.get("/v1/me", headers=person.headers)).json()["email"])


async def jobs(desk: Desk, purpose: str, subject: str) -> list[tuple[UUID, bool]]:
    """The mail jobs of a purpose, oldest first, and whether they are to be discarded."""
    async with reading(desk.site.services.pools.worker, None) as tx:
        rows = await tx.fetch(
            "select id, discard from outbox where payload::json ->> 'purpose' = $1 and key = $2 order by position",
            purpose,
            subject,
        )
    return [(row["id"], row["discard"]) for row in rows]


async def newest_token(desk: Desk, purpose: Purpose, person: Person) -> str:
    """What the link in the newest mail of a purpose holds."""
    *_, (job, _) = await jobs(desk, purpose, person.user_id)
    async with reading(desk.site.services.pools.worker, None) as tx:
        found = await desk.site.services.account_tokens.for_mail(tx, purpose, job)
    assert found is not None
    return found.token


async def auth(desk: Desk, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await desk.client.post(f"/v1/auth/{path}", json=body, headers={**AGENT, **headers})


async def log_in(desk: Desk, email: str, password: str, **headers: str) -> httpx.Response:
    return await auth(desk, "login", {"email": email, "password": password}, **headers)


async def ask_for_reset(desk: Desk, person: Person) -> str:
    answer = await auth(desk, "password-reset", {"email": await email_of(desk, person)})
    assert (answer.status_code, answer.content) == (202, b"")
    return await newest_token(desk, "reset-password", person)


async def test_a_forgotten_password_is_replaced_once_and_ends_every_session(desk: Desk) -> None:
    person = await desk.site.person()
    email = await email_of(desk, person)
    token = await ask_for_reset(desk, person)
    assert (await auth(desk, "password-reset/confirm", {"token": token, "password": NEW})).status_code == 204
    assert (await desk.client.get("/v1/me", headers=person.headers)).status_code == 401
    assert (await auth(desk, "refresh", {"refresh_token": person.refresh_token})).status_code == 401
    problem(await log_in(desk, email, OLD), 401, "unauthenticated")
    tokens = (await log_in(desk, email, NEW)).raise_for_status().json()
    me = (await desk.client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})).json()
    assert me["email_verified_at"] is not None, "the mail was read at that address"
    assert len(await jobs(desk, "password-changed", person.user_id)) == 1
    again = problem(await auth(desk, "password-reset/confirm", {"token": token, "password": OLD}), 400, "bad-input")
    assert again["errors"][0]["pointer"] == "/token"


async def test_64_times_the_same_token_replaces_the_password_once(desk: Desk) -> None:
    token = await ask_for_reset(desk, await desk.site.person())
    bodies = [{"token": token, "password": f"{NEW} number {number}"} for number in range(64)]
    answers = await asyncio.gather(*(auth(desk, "password-reset/confirm", body) for body in bodies))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 400, 503}, "64 hashes take longer than a request may on a busy machine"
    problem(await auth(desk, "password-reset/confirm", bodies[0]), 400, "bad-input")


async def test_an_address_that_nobody_has_gets_the_same_answer_and_no_mail(desk: Desk) -> None:
    async def written() -> tuple[int, int, int]:
        async with reading(desk.site.services.pools.worker, None) as tx:
            row = await tx.fetchrow(
                "select count(*), count(*) filter (where discard), (select count(*) from account_tokens) from outbox"
            )
        assert row is not None
        return row[0], row[1], row[2]

    before = await written()
    known = await auth(desk, "password-reset", {"email": await email_of(desk, await desk.site.person())})
    middle = await written()
    unknown = await auth(desk, "password-reset", {"email": "nobody-at-all@example.com"})
    after = await written()
    assert timeless(known) == timeless(unknown)
    # Signing up has asked for a mail, too.
    assert [b - a for a, b in zip(before, middle, strict=True)] == [2, 0, 2]
    assert [b - a for a, b in zip(middle, after, strict=True)] == [1, 1, 1], "as many rows, and it leaves for nowhere"


async def test_a_mailbox_is_not_flooded(desk: Desk) -> None:
    person = await desk.site.person()
    for _ in range(5):
        await ask_for_reset(desk, person)
    discarded = [discard for _, discard in await jobs(desk, "reset-password", person.user_id)]
    assert discarded == [False, False, False, True, True]


@pytest.mark.parametrize(
    "password", ["short", "x" * 257, "aaaaaaaaaaaa", "qwertyuiop", "password1234567", "QWERTYUIOP", "\uff51wertyuiop"]
)
async def test_a_bad_password_is_refused_and_leaves_the_token_good(desk: Desk, password: str) -> None:
    token = await ask_for_reset(desk, await desk.site.person())
    refused = await auth(desk, "password-reset/confirm", {"token": token, "password": password})
    assert problem(refused, 400, "bad-input")["errors"][0]["pointer"] == "/password"
    assert (await auth(desk, "password-reset/confirm", {"token": token, "password": NEW})).status_code == 204


@pytest.mark.parametrize("token", ["", "tfm_", "tfm_" + "A" * 43, "tfm_" + "é" * 43, "x" * 47, "tfr_" + "A" * 43])
@pytest.mark.parametrize("path", ["password-reset/confirm", "verify-email"])
async def test_every_bad_token_gets_one_answer(desk: Desk, token: str, path: str) -> None:
    body = {"token": token, **({"password": NEW} if "reset" in path else {})}
    assert problem(await auth(desk, path, body), 400, "bad-input")["errors"] == [
        {"pointer": "/token", "detail": "This link is unknown, was used before, or has expired."}
    ]


async def test_a_token_is_good_for_its_own_purpose_only(desk: Desk) -> None:
    person = await desk.site.person()
    token = await newest_token(desk, "verify-email", person)
    problem(await auth(desk, "password-reset/confirm", {"token": token, "password": NEW}), 400, "bad-input")
    problem(await auth(desk, "verify-email", {"token": await ask_for_reset(desk, person)}), 400, "bad-input")
    assert (await auth(desk, "verify-email", {"token": token})).status_code == 204


async def test_an_address_is_verified_by_the_token_that_was_sent_to_it(desk: Desk) -> None:
    person = await desk.site.person()
    assert (await desk.client.get("/v1/me", headers=person.headers)).json()["email_verified_at"] is None
    token = await newest_token(desk, "verify-email", person)
    assert (await auth(desk, "verify-email", {"token": token})).status_code == 204
    verified = (await desk.client.get("/v1/me", headers=person.headers)).json()["email_verified_at"]
    assert verified is not None
    problem(await auth(desk, "verify-email", {"token": token}), 400, "bad-input")
    again = await desk.client.post("/v1/me/email-verification", headers=person.headers)
    assert (again.status_code, len(await jobs(desk, "verify-email", person.user_id))) == (202, 1)


async def test_another_mail_is_sent_to_an_address_that_is_not_verified(desk: Desk) -> None:
    person = await desk.site.person()
    assert (await desk.client.post("/v1/me/email-verification", headers=person.headers)).status_code == 202
    assert len(await jobs(desk, "verify-email", person.user_id)) == 2


async def change(desk: Desk, person: Person, password: str, new: str, **headers: str) -> httpx.Response:
    body = {"password": password, "new_password": new}
    return await auth(desk, "password-change", body, **person.headers, **headers)


async def test_a_changed_password_keeps_this_session_and_ends_the_others(desk: Desk) -> None:
    person = await desk.site.person()
    email = await email_of(desk, person)
    other = (await log_in(desk, email, OLD)).raise_for_status().json()
    stale = await ask_for_reset(desk, person)
    wrong = problem(await change(desk, person, "not my password", NEW), 400, "bad-input")
    assert wrong["errors"][0]["pointer"] == "/password"
    assert problem(await change(desk, person, OLD, "qwertyuiop"), 400, "bad-input")["errors"][0]["pointer"] == (
        "/new_password"
    )
    key = new_key()
    changed = await change(desk, person, OLD, NEW, **{"Idempotency-Key": key})
    tokens = changed.raise_for_status().json()
    assert (await desk.client.get("/v1/me", headers=person.headers)).status_code == 200
    assert (await auth(desk, "refresh", {"refresh_token": person.refresh_token})).status_code == 401
    assert (await auth(desk, "refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 200
    gone = {"Authorization": f"Bearer {other['access_token']}"}
    assert (await desk.client.get("/v1/me", headers=gone)).status_code == 401
    problem(await auth(desk, "password-reset/confirm", {"token": stale, "password": OLD}), 400, "bad-input")
    again = await change(desk, person, OLD, NEW, **{"Idempotency-Key": key})
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (200, changed.content, "true")
    assert len(await jobs(desk, "password-changed", person.user_id)) == 1


async def test_a_login_a_refresh_and_a_reset_are_done_once_for_a_key(desk: Desk) -> None:
    person = await desk.site.person()
    email = await email_of(desk, person)
    key = {"Idempotency-Key": new_key()}
    logins = await asyncio.gather(*(log_in(desk, email, OLD, **key) for _ in range(16)))
    assert {answer.status_code for answer in logins} <= {200, 409}
    bodies = {answer.content for answer in logins if answer.status_code == 200}
    assert len(bodies) == 1
    refresh = {"refresh_token": (await log_in(desk, email, OLD, **key)).json()["refresh_token"]}
    first = await auth(desk, "refresh", refresh, **key)
    assert (await auth(desk, "refresh", refresh, **key)).content == first.content
    problem(await log_in(desk, email, "another password", **key), 401, "unauthenticated")
    for _ in range(2):
        assert (await auth(desk, "password-reset", {"email": email}, **key)).status_code == 202
    assert len(await jobs(desk, "reset-password", person.user_id)) == 1


async def test_a_refresh_token_that_came_back_under_a_key_ends_its_session(desk: Desk) -> None:
    person = await desk.site.person()
    first = (await auth(desk, "refresh", {"refresh_token": person.refresh_token})).raise_for_status().json()
    await auth(desk, "refresh", {"refresh_token": first["refresh_token"]})
    thief = await auth(desk, "refresh", {"refresh_token": person.refresh_token}, **{"Idempotency-Key": new_key()})
    problem(thief, 401, "unauthenticated")
    assert (await desk.client.get("/v1/me", headers=person.headers)).status_code == 401


async def test_a_sign_in_from_elsewhere_is_told_and_the_usual_one_is_not(desk: Desk) -> None:
    person = await desk.site.person()
    email = await email_of(desk, person)

    async def told() -> int:
        async with reading(desk.site.services.pools.worker, None) as tx:
            count: int = await tx.fetchval(
                "select count(*) from outbox o join sessions s on o.key = s.id::text"
                " where o.payload::json ->> 'purpose' = 'new-sign-in' and s.user_id = $1",
                UUID(person.user_id),
            )
        return count

    for agent, expected in (("a browser", 1), ("a browser", 1), ("another browser", 2), ("another browser", 2)):
        (await log_in(desk, email, OLD, **{"User-Agent": agent})).raise_for_status()
        assert await told() == expected


async def test_a_time_zone_is_one_of_the_database(desk: Desk) -> None:
    person = await desk.site.person()
    assert (await desk.client.get("/v1/me", headers=person.headers)).json()["time_zone"] == "UTC"
    moved = await desk.client.patch("/v1/me", json={"time_zone": "Asia/Kathmandu"}, headers=person.headers)
    assert (moved.status_code, moved.json()["time_zone"]) == (200, "Asia/Kathmandu")
    for wrong in ("Mars/Olympus", "europe/berlin", "../etc/passwd", "", "localtime"):
        refused = await desk.client.patch("/v1/me", json={"time_zone": wrong}, headers=person.headers)
        assert problem(refused, 400, "bad-input")["errors"][0]["pointer"] == "/time_zone"
