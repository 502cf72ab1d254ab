"""What asks by an API key: how far its scopes, its user's role and its team let it go."""

import pytest

from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.keys import asking_by_key

pytestmark = pytest.mark.anyio


async def test_a_key_that_only_reads_reads_and_changes_nothing(desk: Desk) -> None:
    task = await desk.task("As it is")
    path, labels = f"/v1/tasks/{task['id']}", f"/v1/teams/{desk.team}/labels"
    async with asking_by_key(desk, "read"):
        assert (await desk.get(path)).json()["title"] == "As it is"
        assert (await desk.get(f"/v1/tasks?team_id={desk.team}")).status_code == 200
        for answer in (
            await desk.patch(path, {"title": "x"}, **{"Idempotency-Key": new_key()}),
            await desk.delete(path),
            await desk.post("/v1/tasks", {"team_id": desk.team, "title": "x"}),
            await desk.post(labels, {"name": "by a key", "color": "#000000"}),
            await desk.post("/v1/me/notifications/read", {"all": True}),
        ):
            assert "does not have the scope write" in problem(answer, 403, "forbidden")["detail"]
    assert (await desk.get(path)).json()["version"] == task["version"]


async def test_a_key_that_writes_manages_nothing(desk: Desk) -> None:
    task = await desk.task()
    async with asking_by_key(desk, "write"):
        assert (await desk.patch(f"/v1/tasks/{task['id']}", {"title": "By a key"})).json()["title"] == "By a key"
        for answer in (
            await desk.delete(f"/v1/tasks/{task['id']}?permanent=true"),
            await desk.patch(f"/v1/teams/{desk.team}", {"name": "x"}),
            await desk.post("/v1/teams", {"name": "x", "key": "KEY"}),
        ):
            assert "does not have the scope admin" in problem(answer, 403, "forbidden")["detail"]


async def test_a_key_reaches_no_further_than_its_owners_role(desk: Desk) -> None:
    async with asking_by_key(desk, "admin", who="viewer"):
        answer = await desk.post("/v1/tasks", {"team_id": desk.team, "title": "x"}, "viewer")
        assert problem(answer, 403, "forbidden")["permission"] == "write_tasks"


async def test_another_team_looks_like_none_to_a_key_of_one_team(desk: Desk) -> None:
    other = await desk.new_team()
    await desk.task("Here")
    task = (await desk.post("/v1/tasks", {"team_id": other, "title": "Over there"})).json()["id"]
    paths = [f"/v1/teams/{other}", f"/v1/teams/{other}/board", f"/v1/tasks/{task}", f"/v1/tasks?team_id={other}"]
    paths += [f"/v1/teams/{other}/events", f"/v1/teams/{other}/members"]
    async with asking_by_key(desk, "admin", team_id=desk.team):
        for path in paths:
            answer, random = await desk.get(path), await desk.get(path.replace(other, RANDOM).replace(task, RANDOM))
            assert problem(answer, 404, "not-found") == problem(random, 404, "not-found")
        problem(await desk.patch(f"/v1/tasks/{task}", {"title": "x"}), 404, "not-found")
        problem(await desk.post("/v1/tasks", {"team_id": other, "title": "x"}), 404, "not-found")
        assert (await desk.get(f"/v1/teams/{desk.team}")).status_code == 200
        assert [team["id"] for team in (await desk.get("/v1/teams")).json()["items"]] == [desk.team]
        tasks = (await desk.get("/v1/tasks?limit=100")).json()["items"]
        assert {one["team_id"] for one in tasks} == {desk.team}
        problem(await desk.post("/v1/teams", {"name": "x", "key": "KEY"}), 404, "not-found")
    assert {one["team_id"] for one in (await desk.get("/v1/tasks?limit=100")).json()["items"]} >= {desk.team, other}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/me", {"name": "x"}),
        ("DELETE", "/v1/me/sessions", None),
        ("DELETE", f"/v1/me/sessions/{RANDOM}", None),
        ("POST", "/v1/auth/logout", None),
    ],
)
async def test_no_key_manages_the_account(desk: Desk, method: str, path: str, body: object) -> None:
    async with asking_by_key(desk, "admin"):
        answer = await desk.ask(method, path, json=body) if body else await desk.ask(method, path)
        assert "neither an API key" in problem(answer, 403, "forbidden")["detail"]
        assert (await desk.get("/v1/me")).status_code == 200


async def test_no_key_gets_a_live_ticket(desk: Desk) -> None:
    async with asking_by_key(desk, "admin"):
        problem(await desk.post("/v1/live-tickets", {"team_id": desk.team}), 403, "forbidden")
