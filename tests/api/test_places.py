"""Errors name the place: which operation of a batch, which field, and which task stands in the way."""

from typing import Any
from uuid import UUID

import pytest

from core.columns import default_column_id
from tests.support.desk import RANDOM, Desk, problem

pytestmark = pytest.mark.anyio

FINE: dict[str, Any] = {"op": "create", "title": "fine"}


async def refused(desk: Desk, *operations: Any, status: int, code: str, team: str = "") -> dict[str, Any]:
    """The only error of a refused batch, which changes nothing."""
    team = team or desk.team
    before = (await desk.get(f"/v1/teams/{team}/board")).json()
    answer = await desk.post("/v1/tasks/batch", {"team_id": team, "operations": list(operations)})
    document = problem(answer, status, code)
    assert (await desk.get(f"/v1/teams/{team}/board")).json() == before
    assert len(document["errors"]) == 1
    return document


def pointer(document: dict[str, Any]) -> str:
    place: str = document["errors"][0]["pointer"]
    return place


@pytest.mark.parametrize(
    ("operation", "status", "code", "place"),
    [
        ({"op": "create", "title": "x", "label_ids": [RANDOM]}, 422, "invalid-reference", "/label_ids/0"),
        ({"op": "create", "title": "x", "assignee_id": RANDOM}, 422, "invalid-reference", "/assignee_id"),
        ({"op": "create", "title": "x", "parent_id": RANDOM}, 422, "invalid-reference", "/parent_id"),
        ({"op": "create", "title": "x", "blocked_by": [RANDOM]}, 422, "invalid-reference", "/blocked_by/0"),
        ({"op": "update", "id": RANDOM, "title": "x"}, 404, "not-found", "/id"),
        ({"op": "archive", "id": RANDOM}, 404, "not-found", "/id"),
        ({"op": "restore", "id": RANDOM}, 404, "not-found", "/id"),
        ({"op": "move", "id": RANDOM, "status": "done"}, 404, "not-found", "/id"),
        ({"op": "create", "title": "  "}, 400, "bad-input", "/title"),
        ({"op": "create"}, 400, "bad-input", "/title"),
        ({"op": "create", "title": "x", "role": "owner"}, 400, "bad-input", "/role"),
        ({"op": "create", "title": "x", "status": "nope"}, 400, "bad-input", "/status"),
        ({"op": "create", "title": "x", "external_id": "1"}, 400, "bad-input", "/external_source"),
    ],
)
async def test_a_batch_says_which_operation_and_which_field(
    desk: Desk, operation: dict[str, Any], status: int, code: str, place: str
) -> None:
    document = await refused(desk, FINE, FINE, operation, FINE, status=status, code=code)
    assert pointer(document) == f"/operations/2{place}"


async def test_a_batch_points_at_the_version_that_is_stale(desk: Desk) -> None:
    task = await desk.task()
    stale = {"op": "update", "id": task["id"], "title": "x", "if_match": task["version"] - 1}
    document = await refused(desk, FINE, stale, status=412, code="stale-version")
    assert pointer(document) == "/operations/1/if_match"


async def test_a_batch_points_at_a_neighbour_that_is_none(desk: Desk) -> None:
    task = await desk.task()
    move = {"op": "move", "id": task["id"], "status": "done", "before_id": RANDOM}
    document = await refused(desk, move, status=422, code="invalid-reference")
    assert pointer(document) == "/operations/0/before_id"


async def test_a_batch_points_at_a_task_that_is_archived(desk: Desk) -> None:
    task = await desk.task()
    await desk.delete(f"/v1/tasks/{task['id']}")
    document = await refused(desk, FINE, {"op": "archive", "id": task["id"]}, status=409, code="conflict")
    assert (document["reason"], pointer(document)) == ("archived", "/operations/1")


async def test_a_cycle_is_pointed_at_alone_and_in_a_batch(desk: Desk) -> None:
    parent = await desk.task()
    child = await desk.task(parent_id=parent["id"], blocked_by=[parent["id"]])
    for field, value in (("parent_id", child["id"]), ("blocked_by", [child["id"]])):
        alone = problem(await desk.patch(f"/v1/tasks/{parent['id']}", {field: value}), 409, "conflict")
        assert (alone["reason"], pointer(alone)) == ("cycle", f"/{field}")
        update = {"op": "update", "id": parent["id"], field: value}
        document = await refused(desk, FINE, update, status=409, code="conflict")
        assert pointer(document) == f"/operations/1/{field}"


async def test_a_wip_limit_is_pointed_at_alone_and_in_a_batch(desk: Desk) -> None:
    team = await desk.new_team()
    assert (await desk.patch(f"/v1/teams/{team}", {"wip": "block"})).status_code == 200
    done = default_column_id(UUID(team), "done")
    assert (await desk.patch(f"/v1/teams/{team}/columns/{done}", {"wip_limit": 1})).status_code == 200
    one, other = [await desk.site.task(desk["owner"], team) for _ in range(2)]
    assert (await desk.patch(f"/v1/tasks/{one['id']}", {"status": "done"})).status_code == 200
    for answer in (
        await desk.patch(f"/v1/tasks/{other['id']}", {"status": "done"}),
        await desk.post(f"/v1/tasks/{other['id']}/move", {"status": "done"}),
        await desk.post("/v1/tasks", {"team_id": team, "title": "x", "status": "done"}),
    ):
        document = problem(answer, 409, "conflict")
        assert (document["reason"], pointer(document)) == ("wip-limit", "/status")
    move = {"op": "move", "id": other["id"], "status": "done"}
    document = await refused(desk, FINE, FINE, move, status=409, code="conflict", team=team)
    assert pointer(document) == "/operations/2/status"


@pytest.mark.parametrize("archived", [False, True])
async def test_an_external_id_that_is_taken_names_the_task_that_has_it(desk: Desk, archived: bool) -> None:
    theirs = {"external_source": "jira", "external_id": f"J-{archived}"}
    first = await desk.task(**theirs)
    if archived:
        assert (await desk.delete(f"/v1/tasks/{first['id']}")).status_code == 200
    alone = problem(await desk.post("/v1/tasks", {"team_id": desk.team, "title": "x", **theirs}), 409, "conflict")
    assert (alone["reason"], alone["task_id"], pointer(alone)) == ("external-id-taken", first["id"], "/external_id")
    document = await refused(desk, FINE, {"op": "create", "title": "x", **theirs}, status=409, code="conflict")
    assert (document["task_id"], pointer(document)) == (first["id"], "/operations/1/external_id")


async def test_a_name_that_is_taken_is_pointed_at(desk: Desk) -> None:
    team = await desk.new_team()
    path = f"/v1/teams/{team}/labels"
    assert (await desk.post(path, {"name": "bug", "color": "#ff0000"})).status_code == 201
    document = problem(await desk.post(path, {"name": "BUG", "color": "#ff0000"}), 409, "conflict")
    assert (document["reason"], pointer(document)) == ("name-taken", "/name")


async def test_an_address_that_has_an_account_is_pointed_at(desk: Desk) -> None:
    body = {"email": "taken@example.com", "password": "correct horse battery", "name": "Ada"}
    assert (await desk.client.post("/v1/auth/signup", json=body)).status_code == 201
    assert pointer(problem(await desk.client.post("/v1/auth/signup", json=body), 409, "conflict")) == "/email"


@pytest.mark.parametrize("limit", ["1e1", "1.0", "01", "+1", " 1", "1_0", "0x1", "٣", "-0"])
async def test_a_number_in_a_query_is_written_with_digits_only(desk: Desk, limit: str) -> None:
    for path in ("/v1/tasks", "/v1/teams", f"/v1/teams/{desk.team}/events"):
        answer = await desk.ask("GET", path, params={"limit": limit})
        assert problem(answer, 400, "bad-input")["parameter"] == "limit"


@pytest.mark.parametrize("number", ["1e1", "1.0", "10e-1"])
async def test_a_whole_number_in_a_body_is_written_with_digits_only(desk: Desk, number: str) -> None:
    task = await desk.task()
    operation = f'{{"op":"archive","id":"{task["id"]}","if_match":{number}}}'
    body = f'{{"team_id":"{desk.team}","operations":[{operation}]}}'
    answer = await desk.ask("POST", "/v1/tasks/batch", content=body, headers={"Content-Type": "application/json"})
    assert pointer(problem(answer, 400, "bad-input")) == "/operations/0/if_match"
