"""`/v1/me/api-keys`: made by people, shown once, revoked for good."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from core.key_form import is_key
from db.settings import DatabaseSettings
from tests.support.databases import superuser_url
from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.keys import asking_by_key, make_key

pytestmark = pytest.mark.anyio

PATH = "/v1/me/api-keys"
BODY = {"name": "Nightly import", "scopes": ["write"]}
SHOWN = {"id", "name", "prefix", "scopes", "team_id", "created_at", "expires_at", "last_used_at"}


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def make(desk: Desk, who: str = "owner", key: str | None = None, **fields: Any) -> httpx.Response:
    return await desk.post(PATH, {**BODY, **fields}, who, **({} if key is None else {"Idempotency-Key": key}))


async def test_a_key_is_shown_once_and_opens_doors(desk: Desk) -> None:
    answer = await make(desk, name="  Nightly import ", team_id=desk.team, expires_at=in_days(30))
    made = answer.json()
    assert answer.status_code == 201
    assert (answer.headers["location"], answer.headers["cache-control"]) == (f"{PATH}/{made['id']}", "no-store")
    assert made.keys() == {*SHOWN, "token"}
    assert is_key(made["token"].encode())
    assert (made["name"], made["prefix"], made["scopes"]) == ("Nightly import", made["token"][:8], ["write"])
    assert made["team_id"] == desk.team
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await desk.client.get(f"/v1/teams/{desk.team}", headers=headers)).status_code == 200
    one = await desk.get(f"{PATH}/{made['id']}")
    (listed,) = [key for key in (await desk.get(PATH)).json()["items"] if key["id"] == made["id"]]
    assert listed.keys() == one.json().keys() == SHOWN
    assert made["token"] not in one.text


async def test_pages_show_the_newest_first_and_only_ones_own(desk: Desk) -> None:
    made = [(await make(desk, "member")).json()["id"] for _ in range(3)]
    await make(desk, "viewer")
    first = (await desk.get(f"{PATH}?limit=2", "member")).json()
    assert [key["id"] for key in first["items"]] == [made[2], made[1]]
    rest = (await desk.get(f"{PATH}?limit=2&cursor={first['next_cursor']}", "member")).json()
    assert ([key["id"] for key in rest["items"]], rest["next_cursor"]) == ([made[0]], None)


async def test_scopes_are_kept_once_and_in_order(desk: Desk) -> None:
    made = (await make(desk, scopes=["admin", "read", "admin"])).json()
    assert made["scopes"] == ["read", "admin"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\0b"}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["root"]}, "/scopes/0"),
        ({"scopes": "read"}, "/scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": in_days(5 * 366)}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59Z"}, "/expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
        ({"team_id": "mine"}, "/team_id"),
        ({"user_id": RANDOM}, "/user_id"),
        ({"last_used_at": None}, "/last_used_at"),
        ({"token": "tfk_mine"}, "/token"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
async def test_a_wrong_body_is_refused_at_its_place(desk: Desk, fields: dict[str, Any], pointer: str) -> None:
    answer = problem(await make(desk, **fields), 400, "bad-input")
    assert answer["errors"][0]["pointer"] == pointer


async def test_a_key_for_somebody_elses_team_looks_like_one_for_none(desk: Desk) -> None:
    foreign, random = await make(desk, team_id=desk.other_team), await make(desk, team_id=RANDOM)
    assert problem(foreign, 404, "not-found") == problem(random, 404, "not-found")


async def test_a_revoked_key_is_gone_at_once_and_foreign_ones_look_alike(desk: Desk) -> None:
    key = await make_key(desk.site, desk["owner"], "admin")
    assert (await desk.client.get("/v1/me", headers=key.headers)).status_code == 200
    for who, key_id in (("owner", RANDOM), ("member", key.id)):
        for method in ("GET", "DELETE"):
            problem(await desk.ask(method, f"{PATH}/{key_id}", who), 404, "not-found")
    assert (await desk.delete(f"{PATH}/{key.id}")).status_code == 204
    problem(await desk.client.get("/v1/me", headers=key.headers), 401, "unauthenticated")
    problem(await desk.client.get(f"/v1/teams/{desk.team}/board", headers=key.headers), 401, "unauthenticated")
    for method in ("GET", "DELETE"):
        problem(await desk.ask(method, f"{PATH}/{key.id}"), 404, "not-found")
    assert key.id not in (await desk.get(PATH)).text


@pytest.mark.parametrize("ending", [{"If-Match": "*"}, "?force=true"], ids=["condition", "query"])
async def test_what_does_not_belong_to_a_change_is_refused(desk: Desk, ending: Any) -> None:
    query, headers = (ending, {}) if isinstance(ending, str) else ("", ending)
    key = await make_key(desk.site, desk["owner"])
    problem(await desk.post(PATH + query, BODY, **headers), 400, "bad-input")
    problem(await desk.delete(f"{PATH}/{key.id}{query}", **headers), 400, "bad-input")


async def test_sixteen_at_once_with_one_idempotency_key_make_one_key(desk: Desk) -> None:
    key, before = new_key(), await count(desk, "admin")
    answers = await asyncio.gather(*(make(desk, "admin", key) for _ in range(16)))
    answers.append(await make(desk, "admin", key))
    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in made}) == 1
    assert made[-1].headers["idempotent-replayed"] == "true"
    assert made[-1].headers["cache-control"] == "no-store"
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, 409, "idempotency-key-in-flight")
    assert await count(desk, "admin") == before + 1
    problem(await make(desk, "admin", key, name="Another"), 422, "idempotency-key-reused")
    problem(await make(desk, "admin", key, colour="red"), 422, "idempotency-key-reused")


async def count(desk: Desk, who: str) -> int:
    return len((await desk.get(f"{PATH}?limit=100", who)).json()["items"])


async def test_a_retried_revocation_gets_its_204(desk: Desk) -> None:
    key, headers = await make_key(desk.site, desk["owner"]), {"Idempotency-Key": new_key()}
    first, second = [await desk.delete(f"{PATH}/{key.id}", **headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (204, 204)
    assert second.headers["idempotent-replayed"] == "true"


async def test_all_keys_of_a_user_end_at_once_and_nobody_elses(desk: Desk) -> None:
    mine = [await make_key(desk.site, desk["stranger"]) for _ in range(3)]
    other = await make_key(desk.site, desk["member"])
    for key in (*mine, other):
        assert (await desk.client.get("/v1/me", headers=key.headers)).status_code == 200
    again = {"Idempotency-Key": new_key()}
    assert (await desk.delete(PATH, "stranger", **again)).status_code == 204
    for key in mine:
        problem(await desk.client.get("/v1/me", headers=key.headers), 401, "unauthenticated")
    assert (await desk.client.get("/v1/me", headers=other.headers)).status_code == 200
    fresh = await make_key(desk.site, desk["stranger"])
    assert (await desk.delete(PATH, "stranger", **again)).headers["idempotent-replayed"] == "true"
    assert (await desk.client.get("/v1/me", headers=fresh.headers)).status_code == 200


@pytest.mark.parametrize("method", ["list", "create", "show", "revoke", "revoke all"])
async def test_no_key_manages_keys(desk: Desk, method: str) -> None:
    async with asking_by_key(desk, "admin") as key:
        match method:
            case "list":
                answer = await desk.get(PATH)
            case "create":
                answer = await make(desk)
            case "show":
                answer = await desk.get(f"{PATH}/{key.id}")
            case "revoke all":
                answer = await desk.delete(PATH)
            case _:
                answer = await desk.delete(f"{PATH}/{key.id}")
        assert problem(answer, 403, "forbidden")["permission"] == "manage_account"


async def test_what_a_key_does_is_recorded_as_its_own(desk: Desk) -> None:
    task = await desk.task()
    path = f"/v1/tasks/{task['id']}"
    async with asking_by_key(desk, "write", who="member") as key:
        await desk.patch(path, {"title": "By a key"}, "member")
    await desk.patch(path, {"title": "By hand"}, "member")
    by_hand, by_key, _ = (await desk.get(f"{path}/activity")).json()["items"]
    me = {"id": desk["member"].user_id, "name": "Member"}
    assert by_key["actor"] == {**me, "kind": "key", "via": key.id}
    assert by_hand["actor"] == {**me, "kind": "user"}


async def test_idempotency_keys_are_the_api_keys_own(desk: Desk) -> None:
    key, body = {"Idempotency-Key": new_key()}, {"team_id": desk.team, "title": "Once each"}
    by_hand = await desk.post("/v1/tasks", body, **key)
    async with asking_by_key(desk, "write"):
        first, again = [await desk.post("/v1/tasks", body, **key) for _ in range(2)]
        assert (await desk.post("/v1/me/notifications/read", {"all": True}, **key)).status_code == 422
    async with asking_by_key(desk, "write"):
        other = await desk.post("/v1/tasks", body, **key)
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len({answer.json()["id"] for answer in (by_hand, first, other)}) == 3


async def test_a_key_of_one_team_has_the_notifications_of_that_team_only(
    desk: Desk, superuser_of_desk: "asyncpg.Connection"
) -> None:
    other = await desk.new_team()
    for team in (desk.team, other):
        await superuser_of_desk.execute(
            "insert into notifications (user_id, id, team_id, kind, event_id, created_at)"
            " values ($1, gen_random_uuid(), $2::text::uuid, 'task.assigned', $2::text || ':1:1', now())",
            desk["owner"].user_id, team,
        )  # fmt: skip
    path = "/v1/me/notifications?unread=true"
    async with asking_by_key(desk, "write", team_id=other):
        assert {one["team_id"] for one in (await desk.get(path)).json()["items"]} == {other}
        assert (await desk.post("/v1/me/notifications/read", {"all": True})).json() == {"marked": 1}
    assert {one["team_id"] for one in (await desk.get(path)).json()["items"]} == {desk.team}


@pytest.fixture
async def superuser_of_desk(services: Any, module_database: DatabaseSettings) -> Any:
    """Sees and changes every row of the module's database."""
    connection = await asyncpg.connect(superuser_url(services, module_database))
    yield connection
    await connection.close()
