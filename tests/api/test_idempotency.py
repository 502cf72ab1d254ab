"""Idempotency-Key: one effect, one answer, whatever is retried by whom."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.shapes import timeless
from tests.support.site import Site

pytestmark = pytest.mark.anyio


def same(first: httpx.Response, second: httpx.Response) -> bool:
    """Equal but for what belongs to the single request, and for the mark of a replay."""
    answers = [timeless(answer) for answer in (first, second)]
    for _, _, headers in answers:
        headers.pop("idempotent-replayed", None)
    return answers[0] == answers[1]


async def keyed(desk: Desk, key: str, method: str, path: str, body: Any = None, who: str = "owner") -> httpx.Response:
    return await desk.ask(method, path, who, json=body, headers={"Idempotency-Key": key})


async def test_a_retry_gets_the_stored_answer_and_changes_nothing(desk: Desk) -> None:
    key, body = new_key(), {"team_id": desk.team, "title": "Once"}
    first = await keyed(desk, key, "POST", "/v1/tasks", body)
    second = await keyed(desk, f'"{key}"', "POST", "/v1/tasks", body)
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert same(first, second)
    listed = (await desk.get(f"/v1/tasks?team_id={desk.team}&limit=100&q=Once")).json()["items"]
    assert [task["id"] for task in listed] == [first.json()["id"]]


@pytest.mark.parametrize("what", ["body", "path", "query", "if-match", "method"])
async def test_a_key_stands_for_one_request_only(desk: Desk, what: str) -> None:
    key, task, other = new_key(), await desk.task(), await desk.task()
    path = f"/v1/tasks/{task['id']}"
    assert (await keyed(desk, key, "PATCH", path, {"title": "a"})).status_code == 200
    headers = {"Idempotency-Key": key}
    match what:
        case "body":
            answer = await desk.patch(path, {"title": "b"}, **headers)
        case "path":
            answer = await desk.patch(f"/v1/tasks/{other['id']}", {"title": "a"}, **headers)
        case "query":
            answer = await desk.delete(f"{path}?permanent=false", **headers)
        case "if-match":
            answer = await desk.patch(path, {"title": "a"}, **headers, **{"If-Match": "*"})
        case _:
            answer = await desk.delete(path, **headers)
    problem(answer, 422, "idempotency-key-reused")


async def test_a_used_key_is_told_before_a_wrong_body_is(desk: Desk) -> None:
    key, task = new_key(), await desk.task()
    path = f"/v1/tasks/{task['id']}"
    await keyed(desk, key, "PATCH", path, {"title": "a"})
    problem(await keyed(desk, key, "PATCH", path, {"colour": "b"}), 422, "idempotency-key-reused")
    problem(await keyed(desk, new_key(), "PATCH", path, {"colour": "b"}), 400, "bad-input")


async def test_the_same_key_of_somebody_else_is_another_key(desk: Desk) -> None:
    key, body = new_key(), {"team_id": desk.team, "title": "Twice"}
    first = await keyed(desk, key, "POST", "/v1/tasks", body)
    second = await keyed(desk, key, "POST", "/v1/tasks", body, "member")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]
    assert "idempotent-replayed" not in second.headers


async def test_a_refusal_of_the_team_is_replayed_even_when_it_would_succeed_now(desk: Desk) -> None:
    key, task = new_key(), await desk.task()
    path = f"/v1/tasks/{task['id']}/restore"
    first = await keyed(desk, key, "POST", path)
    assert problem(first, 409, "conflict")["reason"] == "not-archived"
    await desk.delete(f"/v1/tasks/{task['id']}")
    second = await keyed(desk, key, "POST", path)
    assert second.headers["idempotent-replayed"] == "true"
    assert (second.status_code, second.content) == (409, first.content)


async def test_a_retried_patch_gets_its_200_and_not_412(desk: Desk) -> None:
    key, task = new_key(), await desk.task()
    path, headers = f"/v1/tasks/{task['id']}", {"If-Match": f'"{task["version"]}"'}
    first = await desk.patch(path, {"title": "Mine"}, **headers, **{"Idempotency-Key": key})
    second = await desk.patch(path, {"title": "Mine"}, **headers, **{"Idempotency-Key": key})
    assert first.status_code == second.status_code == 200
    assert same(first, second)


async def test_a_stale_write_is_replayed_with_its_conflicts(desk: Desk) -> None:
    key, task = new_key(), await desk.task()
    path, headers = f"/v1/tasks/{task['id']}", {"If-Match": f'"{task["version"]}"'}
    await desk.patch(path, {"title": "Theirs"}, "member")
    first = await desk.patch(path, {"title": "Mine"}, **headers, **{"Idempotency-Key": key})
    second = await desk.patch(path, {"title": "Mine"}, **headers, **{"Idempotency-Key": key})
    assert len(problem(first, 412, "stale-version")["conflicts"]) == 1
    assert (second.status_code, second.content) == (412, first.content)
    assert second.headers["idempotent-replayed"] == "true"


async def test_sixty_four_at_once_have_one_effect(desk: Desk) -> None:
    key, team = new_key(), await desk.new_team()
    body = {"team_id": team, "title": "One of sixty-four"}
    answers = await asyncio.gather(*(keyed(desk, key, "POST", "/v1/tasks", body) for _ in range(64)))
    created = [answer for answer in answers if answer.status_code == 201]
    waiting = [answer for answer in answers if answer.status_code != 201]
    assert len({answer.json()["id"] for answer in created}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in created) == 1
    for answer in waiting:
        problem(answer, 409, "idempotency-key-in-flight")
        assert answer.headers["retry-after"] == "1"
    assert len((await desk.get(f"/v1/tasks?team_id={team}")).json()["items"]) == 1


async def test_creating_a_team_twice_makes_one(desk: Desk) -> None:
    key, body = new_key(), {"name": "Only", "key": "ONE"}
    answers = await asyncio.gather(*(keyed(desk, key, "POST", "/v1/teams", body) for _ in range(8)))
    answers.append(await keyed(desk, key, "POST", "/v1/teams", body))
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert answers[-1].headers["idempotent-replayed"] == "true"
    problem(
        await keyed(desk, key, "POST", "/v1/tasks", {"team_id": desk.team, "title": "x"}), 422, "idempotency-key-reused"
    )


async def test_a_removed_member_gets_no_stored_answer(desk: Desk) -> None:
    key, team = new_key(), await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    body = {"team_id": team, "title": "x"}
    assert (await keyed(desk, key, "POST", "/v1/tasks", body, "member")).status_code == 201
    assert (await desk.delete(f"/v1/teams/{team}/members/{desk['member'].user_id}")).status_code == 204
    answer = await keyed(desk, key, "POST", "/v1/tasks", body, "member")
    problem(answer, 404, "not-found")
    assert "idempotent-replayed" not in answer.headers


async def test_what_the_role_forbids_is_asked_anew_every_time(desk: Desk) -> None:
    key, team = new_key(), await desk.new_team()
    await desk.join(team, "owner", "viewer", "viewer")
    body = {"team_id": team, "title": "x"}
    problem(await keyed(desk, key, "POST", "/v1/tasks", body, "viewer"), 403, "forbidden")
    await desk.patch(f"/v1/teams/{team}/members/{desk['viewer'].user_id}", {"role": "member"})
    assert (await keyed(desk, key, "POST", "/v1/tasks", body, "viewer")).status_code == 201


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "x" * 15,
        "x" * 256,
        "with spaces in it ok",
        '"unbalanced-quotes',
        "ümlaut-ümlaut-ümlaut",
        "a.b.c.d.e.f.g.h.i",
    ],
)
async def test_a_key_of_another_form_is_refused(desk: Desk, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    answer = await desk.ask("POST", "/v1/tasks", json={"team_id": desk.team, "title": "x"}, headers=headers)
    assert problem(answer, 400, "bad-input")["parameter"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/tasks/{task}/move", {"status": "done"}),
        ("POST", "/v1/tasks/batch", {"operations": [{"op": "create", "title": "b"}]}),
        ("DELETE", "/v1/tasks/{task}", None),
        ("DELETE", "/v1/tasks/{task}?permanent=true", None),
        ("PATCH", "/v1/teams/{team}", {"name": "Renamed"}),
        ("POST", "/v1/teams/{team}/labels", {"name": "once", "color": "#000000"}),
        ("PATCH", "/v1/teams/{team}/members/{viewer}", {"role": "member"}),
        ("DELETE", "/v1/teams/{team}/members/{viewer}", None),
    ],
)
async def test_every_change_can_be_retried(desk: Desk, method: str, path: str, body: dict[str, Any] | None) -> None:
    key, team = new_key(), await desk.new_team()
    await desk.join(team, "owner", "viewer", "viewer")
    task = (await desk.post("/v1/tasks", {"team_id": team, "title": "x"})).json()["id"]
    if path == "/v1/tasks/batch":
        body = {"team_id": team, **(body or {})}
    path = path.format(team=team, task=task, viewer=desk["viewer"].user_id)
    first = await keyed(desk, key, method, path, body)
    second = await keyed(desk, key, method, path, body)
    assert first.status_code < 300, first.text
    assert same(first, second), second.text
    assert second.headers["idempotent-replayed"] == "true"


async def test_a_stored_refusal_is_replayed_when_the_task_is_gone_since(desk: Desk) -> None:
    key, task = new_key(), await desk.task()
    path = f"/v1/tasks/{task['id']}/restore"
    first = await keyed(desk, key, "POST", path)
    assert problem(first, 409, "conflict")["reason"] == "not-archived"
    assert (await desk.delete(f"/v1/tasks/{task['id']}?permanent=true")).status_code == 204
    second = await keyed(desk, key, "POST", path)
    # It may have named the task: what is left of it says which refusal it was.
    forgotten = problem(second, 409, "conflict")
    assert (forgotten["reason"], forgotten["type"]) == ("not-archived", first.json()["type"])
    assert second.headers["idempotent-replayed"] == "true"


async def test_a_used_key_decides_before_a_wrong_query_or_precondition(desk: Desk) -> None:
    key, task = new_key(), await desk.task()
    path, headers = f"/v1/tasks/{task['id']}", {"Idempotency-Key": key}
    assert (await keyed(desk, key, "PATCH", path, {"title": "a"})).status_code == 200
    problem(await desk.patch(f"{path}?colour=red", {"title": "a"}, **headers), 422, "idempotency-key-reused")
    problem(await desk.patch(path, {"title": "a"}, **headers, **{"If-Match": "x"}), 422, "idempotency-key-reused")
    problem(await desk.patch(f"{path}?colour=red", {"title": "a"}), 400, "bad-input")


async def test_the_form_of_a_key_is_judged_before_the_body_of_an_account_change(desk: Desk) -> None:
    answer = await desk.patch("/v1/me", {"colour": "red"}, **{"Idempotency-Key": "short"})
    assert problem(answer, 400, "bad-input")["parameter"] == "Idempotency-Key"


async def test_a_random_id_with_a_key_is_not_stored(desk: Desk) -> None:
    answer = await keyed(desk, new_key(), "PATCH", f"/v1/tasks/{RANDOM}", {"title": "x"})
    problem(answer, 404, "not-found")


async def test_an_account_patch_that_changes_nothing_has_its_key_all_the_same(desk: Desk) -> None:
    """It was answered before its key was looked at."""
    for number, (first, second) in enumerate((({}, {"name": "Kay"}), ({"name": "Kay"}, {}))):
        key = {"Idempotency-Key": f"an-account-patch-{number}"}
        assert (await desk.patch("/v1/me", first, **key)).status_code == 200
        assert (await desk.patch("/v1/me", second, **key)).status_code == 422
        again = await desk.patch("/v1/me", first, **key)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")


@pytest.mark.parametrize("how", ["PATCH", "DELETE", "permanent", "restore"])
async def test_a_member_whose_role_sank_gets_no_stored_answer_though_the_task_is_gone(desk: Desk, how: str) -> None:
    team, key = await desk.new_team(), new_key()
    await desk.join(team, "owner", "admin", "admin")
    task = await desk.site.task(desk["owner"], team)
    path = f"/v1/tasks/{task['id']}"
    if how == "restore":
        await desk.delete(path)
    change = {
        "PATCH": ("PATCH", path, {"title": "x"}),
        "DELETE": ("DELETE", path, None),
        "permanent": ("DELETE", f"{path}?permanent=true", None),
        "restore": ("POST", f"{path}/restore", None),
    }[how]
    assert (await keyed(desk, key, *change, "admin")).is_success
    if how != "permanent":
        assert (await desk.delete(f"{path}?permanent=true")).status_code == 204
    assert (await keyed(desk, key, *change, "admin")).headers["idempotent-replayed"] == "true"
    await desk.patch(f"/v1/teams/{team}/members/{desk['admin'].user_id}", {"role": "viewer"})
    refused = await keyed(desk, key, *change, "admin")
    problem(refused, 403, "forbidden")
    assert "idempotent-replayed" not in refused.headers


def newcomer(name: str) -> dict[str, str]:
    return {"email": f"{name}@example.com", "password": "correct horse battery", "name": "Ada"}


async def sign_up(desk: Desk, body: dict[str, str], key: str) -> httpx.Response:
    return await desk.client.post("/v1/auth/signup", json=body, headers={"Idempotency-Key": key})


async def test_a_retried_sign_up_gets_the_same_tokens_and_makes_one_account(desk: Desk) -> None:
    key, body = new_key(), newcomer("retried")
    first, second = await sign_up(desk, body, key), await sign_up(desk, body, key)
    assert (first.status_code, second.status_code, second.content) == (201, 201, first.content)
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["cache-control"] == "no-store"
    assert second.headers["location"] == "/v1/me"
    authorization = {"Authorization": f"Bearer {second.json()['access_token']}"}
    assert (await desk.client.get("/v1/me", headers=authorization)).json()["email"] == body["email"]
    problem(await sign_up(desk, {**body, "password": "another horse battery"}, key), 422, "idempotency-key-reused")
    problem(await sign_up(desk, body, new_key()), 409, "conflict")
    problem(await sign_up(desk, body, "short"), 400, "bad-input")
    assert (await sign_up(desk, newcomer("somebody-else"), key)).status_code == 201


async def test_sixteen_sign_ups_at_once_with_one_key_make_one_account(desk: Desk) -> None:
    key, body = new_key(), newcomer("at-once")
    answers = await asyncio.gather(*(sign_up(desk, body, key) for _ in range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "idempotency-key-in-flight")


async def test_a_retried_ticket_is_the_same_and_a_former_member_gets_none(desk: Desk) -> None:
    team, key = await desk.new_team(), new_key()
    await desk.join(team, "owner", "member", "member")
    body = {"team_id": team}
    first = await keyed(desk, key, "POST", "/v1/live-tickets", body, "member")
    second = await keyed(desk, key, "POST", "/v1/live-tickets", body, "member")
    assert (first.status_code, second.status_code, second.content) == (201, 201, first.content)
    assert second.headers["idempotent-replayed"] == "true"
    assert (await desk.delete(f"/v1/teams/{team}/members/{desk['member'].user_id}")).status_code == 204
    refused = await keyed(desk, key, "POST", "/v1/live-tickets", body, "member")
    problem(refused, 404, "not-found")
    assert "idempotent-replayed" not in refused.headers


async def test_secrets_of_answers_are_sealed_where_they_are_stored_and_good_for_ten_minutes(
    own_site: Site, superuser: asyncpg.Connection
) -> None:
    async def again() -> httpx.Response:
        return await own_site.client.post("/v1/auth/signup", json=newcomer("sealed"), headers=headers)

    headers = {"Idempotency-Key": new_key()}
    first = await again()
    rows = await superuser.fetch("select body, fingerprint from idempotency_keys")
    assert len(rows) == 1
    for secret in (first.json()["refresh_token"], first.json()["access_token"], "refresh_token"):
        assert secret.encode() not in rows[0]["body"]
    await superuser.execute("update idempotency_keys set created_at = now() - interval '9 minutes'")
    assert (await again()).content == first.content
    await superuser.execute("update idempotency_keys set created_at = now() - interval '11 minutes'")
    problem(await again(), 409, "conflict")
