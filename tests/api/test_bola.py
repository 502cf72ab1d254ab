"""Broken object level authorisation (OWASP API1): a foreign id must look exactly like a random one, everywhere."""

import statistics
import time
from typing import Any

import pytest
import uuid_utils.compat as uuids

from tests.support.desk import RANDOM, Desk
from tests.support.shapes import shape

pytestmark = pytest.mark.anyio

BODIES: dict[str, Any] = {
    "task": {"title": "Taken over"},
    "move": {"status": "done"},
    "undo": {},
    "seen": {"seq": 1},
    "team": {"name": "Taken over"},
    "member": {"role": "owner"},
    "label": {"name": "mine", "color": "#000000"},
}
SWEEP = [
    ("GET", "/v1/tasks/{task}", None),
    ("GET", "/v1/tasks/{task}/activity", None),
    ("PATCH", "/v1/tasks/{task}", "task"),
    ("DELETE", "/v1/tasks/{task}", None),
    ("DELETE", "/v1/tasks/{task}?permanent=true", None),
    ("POST", "/v1/tasks/{task}/move", "move"),
    ("POST", "/v1/tasks/{task}/restore", None),
    ("POST", "/v1/tasks/{task}/undo", "undo"),
    ("PUT", "/v1/teams/{team}/seen", "seen"),
    ("GET", "/v1/tasks?team_id={team}", None),
    ("GET", "/v1/tasks?team_id={team}&archived=true", None),
    ("GET", "/v1/teams/{team}", None),
    ("GET", "/v1/teams/{team}/board", None),
    ("GET", "/v1/teams/{team}/tasks/by-number/1", None),
    ("GET", "/v1/teams/{team}/members", None),
    ("GET", "/v1/teams/{team}/labels", None),
    ("GET", "/v1/teams/{team}/events", None),
    ("PATCH", "/v1/teams/{team}", "team"),
    ("PATCH", "/v1/teams/{team}/members/{user}", "member"),
    ("DELETE", "/v1/teams/{team}/members/{user}", None),
    ("POST", "/v1/teams/{team}/labels", "label"),
    ("PATCH", "/v1/teams/{team}/labels/{label}", "label"),
    ("DELETE", "/v1/teams/{team}/labels/{label}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), SWEEP)
@pytest.mark.parametrize("keyed", [False, True])
async def test_a_foreign_id_looks_like_a_random_one_and_nothing_happens(
    desk: Desk, method: str, path: str, body: str | None, keyed: bool
) -> None:
    board = f"/v1/teams/{desk.other_team}/board"
    before = await desk.get(board, "stranger")
    names = {"team": desk.other_team, "task": desk.other_task["id"], "user": desk["stranger"].user_id, "label": RANDOM}
    randoms = {"team": RANDOM, "task": RANDOM, "user": RANDOM, "label": RANDOM}
    answers = []
    for values, hint in ((names, desk.other_team), (names, ""), (randoms, desk.other_team), (randoms, "")):
        headers = {"TaskForge-Team": hint} if hint else {}
        if keyed:
            headers["Idempotency-Key"] = str(uuids.uuid7())
        json = None if body is None else BODIES[body]
        answers.append(await desk.ask(method, path.format(**values), "owner", json=json, headers=headers))
    assert answers[0].status_code == 404
    assert len({repr(shape(answer)) for answer in answers}) == 1, [answer.text for answer in answers]
    assert "secret" not in answers[0].text.lower()
    after = await desk.get(board, "stranger")
    assert after.headers["etag"] == before.headers["etag"]


async def test_foreign_ids_inside_bodies_are_refused_like_random_ones(desk: Desk) -> None:
    task = await desk.task()
    mine = f"/v1/tasks/{task['id']}"
    foreign = desk.other_task["id"]
    for make in (
        lambda other: ("POST", "/v1/tasks", {"team_id": desk.team, "title": "x", "parent_id": other}),
        lambda other: ("POST", "/v1/tasks", {"team_id": desk.team, "title": "x", "blocked_by": [other]}),
        lambda other: ("POST", "/v1/tasks", {"team_id": desk.team, "title": "x", "assignee_id": other}),
        lambda other: ("PATCH", mine, {"parent_id": other}),
        lambda other: ("PATCH", mine, {"label_ids": [other]}),
        lambda other: ("POST", f"{mine}/move", {"before_id": other}),
        lambda other: (
            "POST",
            "/v1/tasks/batch",
            {"team_id": desk.team, "operations": [{"op": "update", "id": other, "title": "x"}]},
        ),
    ):
        answers = []
        for other in (foreign, RANDOM):
            method, path, body = make(other)
            answers.append(await desk.ask(method, path, json=body))
        assert answers[0].status_code in {404, 422}
        assert (answers[0].status_code, answers[0].content) == (answers[1].status_code, answers[1].content)


async def test_creating_in_a_foreign_team_is_creating_nowhere(desk: Desk) -> None:
    for body in ({"title": "x"}, {"operations": [{"op": "create", "title": "x"}]}):
        path = "/v1/tasks" if "title" in body else "/v1/tasks/batch"
        answers = [await desk.post(path, {"team_id": team, **body}) for team in (desk.other_team, RANDOM)]
        assert answers[0].status_code == 404
        assert answers[0].content == answers[1].content


async def test_filters_and_cursors_do_not_reach_into_other_teams(desk: Desk) -> None:
    await desk.post("/v1/tasks", {"team_id": desk.other_team, "title": "two"}, "stranger")
    page = (await desk.get("/v1/tasks?limit=1", "stranger")).json()
    for query in (f"parent={desk.other_task['id']}", f"assignee={desk['stranger'].user_id}", "q=secret"):
        assert (await desk.get(f"/v1/tasks?{query}")).json()["items"] == []
    answer = await desk.get(f"/v1/tasks?limit=100&cursor={page['next_cursor']}")
    assert all(task["team_id"] != desk.other_team for task in answer.json()["items"])


async def test_a_foreign_task_costs_as_much_time_as_a_random_one(desk: Desk) -> None:
    await desk.get(f"/v1/tasks/{desk.other_task['id']}", "stranger")

    async def seconds(task_id: str) -> float:
        started = time.perf_counter()
        await desk.get(f"/v1/tasks/{task_id}")
        return time.perf_counter() - started

    foreign, random = [], []
    for _ in range(60):
        foreign.append(await seconds(desk.other_task["id"]))
        random.append(await seconds(str(uuids.uuid7())))
    assert 0.5 < statistics.median(foreign) / statistics.median(random) < 2.0


@pytest.mark.parametrize("field", ["id", "number", "key", "rank", "version", "created_by", "seq", "role", "owner_id"])
async def test_what_the_server_owns_cannot_be_assigned(desk: Desk, field: str) -> None:
    task = await desk.task()
    for method, path, body in (
        ("POST", "/v1/tasks", {"team_id": desk.team, "title": "x"}),
        ("PATCH", f"/v1/tasks/{task['id']}", {"title": "x"}),
    ):
        answer = await desk.ask(method, path, json={**body, field: 1})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    moved = await desk.patch(f"/v1/tasks/{task['id']}", {"team_id": desk.other_team})
    assert moved.status_code == 400
