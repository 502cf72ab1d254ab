"""Columns over REST: managed by admins, entered by tasks, limited, and deleted bit by bit."""

import asyncio
from typing import Any
from uuid import UUID, uuid5

import pytest

from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support.desk import RANDOM, Desk, problem
from tests.support.site import serving, settings_for
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio


async def columns_of(desk: Desk, team: str) -> dict[str, Any]:
    return {column["name"]: column for column in (await desk.get(f"/v1/teams/{team}/columns")).json()["items"]}


async def add(desk: Desk, team: str, name: str, category: str = "open", **more: Any) -> Any:
    answer = await desk.post(f"/v1/teams/{team}/columns", {"name": name, "category": category, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def fill(desk: Desk, team: str, column: str, count: int) -> list[str]:
    """So many tasks in the column, from top to bottom."""
    ids = list[str]()
    for start in range(0, count, 100):
        number = min(100, count - start)
        operations = [{"op": "create", "title": f"t{start + n}", "column_id": column} for n in range(number)]
        answer = await desk.post("/v1/tasks/batch", {"team_id": team, "operations": operations})
        ids += [task["id"] for task in answer.raise_for_status().json()["items"]]
    return ids


async def test_a_team_begins_with_five_columns_whose_ids_follow_from_its_own(desk: Desk) -> None:
    team = await desk.new_team()
    found = (await desk.get(f"/v1/teams/{team}/columns")).json()
    assert found["next_cursor"] is None
    assert [(column["name"], column["category"], column["position"]) for column in found["items"]] == [
        ("Open", "open", 0),
        ("In progress", "in_progress", 1),
        ("In review", "in_review", 2),
        ("Done", "done", 3),
        ("Cancelled", "cancelled", 4),
    ]
    assert [column["id"] for column in found["items"]] == [
        str(uuid5(UUID(team), column["category"])) for column in found["items"]
    ]


async def test_a_column_is_made_renamed_limited_moved_and_deleted(desk: Desk) -> None:
    team = await desk.new_team()
    path = f"/v1/teams/{team}/columns"
    answer = await desk.post(path, {"name": "Warten", "category": "in_progress", "wip_limit": 2})
    made = answer.json()
    assert answer.headers["location"] == f"{path}/{made['id']}"
    assert (made["position"], made["wip_limit"], made["closing_into"]) == (5, 2, None)
    assert (await desk.get(f"{path}/{made['id']}")).json() == made
    changed = (await desk.patch(f"{path}/{made['id']}", {"name": "Waiting", "wip_limit": None})).json()
    assert changed == {**made, "name": "Waiting", "wip_limit": None}
    first = (await columns_of(desk, team))["Open"]
    moved = (await desk.post(f"{path}/{made['id']}/move", {"before_id": first["id"]})).json()
    assert moved == {**changed, "position": 0}
    assert list(await columns_of(desk, team)) == ["Waiting", "Open", "In progress", "In review", "Done", "Cancelled"]
    page = (await desk.get(f"{path}?limit=2")).json()
    rest = (await desk.get(f"{path}?cursor={page['next_cursor']}")).json()
    assert [column["position"] for column in (*page["items"], *rest["items"])] == [0, 1, 2, 3, 4, 5]
    assert (await desk.delete(f"{path}/{made['id']}")).status_code == 204
    assert problem(await desk.get(f"{path}/{made['id']}"), 404, "not-found")
    types = [event["type"] for event in (await desk.get(f"/v1/teams/{team}/events")).json()["items"]]
    assert types[-4:] == ["column.created", "column.updated", "column.moved", "column.deleted"]


async def test_names_are_told_apart_without_regard_to_case_and_form(desk: Desk) -> None:
    team = await desk.new_team()
    await add(desk, team, "Straße ﬁx")
    for name in ("STRASSE FIX", "straße fix", "Straße  ﬁx", " Straße\u00a0ﬁx", "Straße\u2003ﬁx "):
        answer = await desk.post(f"/v1/teams/{team}/columns", {"name": name, "category": "open"})
        document = problem(answer, 409, "conflict")
        assert (document["reason"], document["errors"][0]["pointer"]) == ("name-taken", "/name")


async def test_there_are_at_most_thirty_and_always_one_to_begin_with_and_one_to_end_in(desk: Desk) -> None:
    team = await desk.new_team()
    for number in range(25):
        await add(desk, team, f"C{number}")
    answer = await desk.post(f"/v1/teams/{team}/columns", {"name": "One more", "category": "open"})
    assert problem(answer, 409, "quota-reached")["quota"] == "columns-per-team"
    last = (await columns_of(desk, team))["Done"]
    answer = await desk.delete(f"/v1/teams/{team}/columns/{last['id']}")
    assert problem(answer, 409, "conflict")["reason"] == "last-column"


async def test_a_status_means_the_first_column_unless_the_task_stands_in_one(desk: Desk) -> None:
    team = await desk.new_team()
    second = await add(desk, team, "Shipped", "done")
    task = await desk.site.task(desk["owner"], team)
    path = f"/v1/tasks/{task['id']}"
    done = (await desk.patch(path, {"status": "done"})).json()
    assert done["column_id"] == (await columns_of(desk, team))["Done"]["id"]
    shipped = (await desk.post(f"{path}/move", {"column_id": second["id"]})).json()
    assert (shipped["column_id"], shipped["completed_at"]) == (second["id"], done["completed_at"])
    assert (await desk.patch(path, {"status": "done"})).json() == shipped
    document = problem(await desk.patch(path, {"status": "open", "column_id": second["id"]}), 400, "contradiction")
    assert document["errors"][0]["pointer"] == "/status"
    assert problem(await desk.patch(path, {"column_id": RANDOM}), 422, "invalid-reference")
    review = (await columns_of(desk, team))["In review"]
    assert (await desk.delete(f"/v1/teams/{team}/columns/{review['id']}")).status_code == 204
    assert problem(await desk.patch(path, {"status": "in_review"}), 409, "conflict")["reason"] == "no-column"
    listed = (await desk.get(f"/v1/tasks?team_id={team}&column={second['id']},{review['id']}")).json()["items"]
    assert [one["id"] for one in listed] == [task["id"]]
    assert (await desk.get(f"/v1/tasks?team_id={team}&column={review['id']}")).json()["items"] == []


async def test_a_task_comes_back_into_the_first_column_when_its_own_is_gone(desk: Desk) -> None:
    team = await desk.new_team()
    column = await add(desk, team, "Waiting")
    (task,) = await fill(desk, team, column["id"], 1)
    await desk.delete(f"/v1/tasks/{task}")
    archived = (await desk.get(f"/v1/tasks?team_id={team}&archived=true&column={column['id']}")).json()["items"]
    assert [one["id"] for one in archived] == [task]
    assert (await desk.delete(f"/v1/teams/{team}/columns/{column['id']}")).status_code == 204
    back = (await desk.post(f"/v1/tasks/{task}/restore")).json()
    assert back["column_id"] == (await columns_of(desk, team))["Open"]["id"]


async def test_a_limit_is_ignored_warned_of_or_enforced(desk: Desk) -> None:
    team = await desk.new_team()
    column = await add(desk, team, "Narrow", wip_limit=1)
    body = {"team_id": team, "title": "x", "column_id": column["id"]}
    assert "taskforge-warning" not in (await desk.post("/v1/tasks", body)).headers
    warned = await desk.post("/v1/tasks", body)
    assert (warned.status_code, warned.headers["taskforge-warning"]) == (201, f'wip-limit;column="{column["id"]}"')
    retitled = await desk.patch(f"/v1/tasks/{warned.json()['id']}", {"title": "y"})
    assert "taskforge-warning" not in retitled.headers
    await desk.patch(f"/v1/teams/{team}", {"wip": "block"})
    document = problem(await desk.post("/v1/tasks", body), 409, "conflict")
    assert (document["reason"], document["errors"][0]["pointer"]) == ("wip-limit", "/column_id")
    await desk.patch(f"/v1/teams/{team}", {"wip": "off"})
    assert "taskforge-warning" not in (await desk.post("/v1/tasks", body)).headers


async def test_a_task_is_due_once(desk: Desk) -> None:
    team = await desk.new_team()
    body = {"team_id": team, "title": "x", "due_on": "2026-05-01"}
    task = (await desk.post("/v1/tasks", body)).json()
    assert (task["due_on"], task["due_at"]) == ("2026-05-01", None)
    path, moment = f"/v1/tasks/{task['id']}", "2026-05-01T12:00:00Z"
    both = problem(await desk.post("/v1/tasks", {**body, "due_at": moment}), 400, "bad-input")
    assert both["errors"][0]["pointer"] == "/due_on"
    other = problem(await desk.patch(path, {"due_at": moment}), 400, "contradiction")
    assert other["errors"][0]["pointer"] == "/due_at"
    assert (await desk.patch(path, {"due_at": moment, "due_on": None})).json()["due_on"] is None
    again = problem(await desk.patch(path, {"due_on": "2026-05-02"}), 400, "contradiction")
    assert again["errors"][0]["pointer"] == "/due_on"
    assert (await desk.patch(path, {"due_on": "2026-05-02", "due_at": None})).json()["due_on"] == "2026-05-02"


async def test_a_column_with_tasks_needs_somewhere_for_them_to_go(desk: Desk) -> None:
    team = await desk.new_team()
    column, target = await add(desk, team, "From"), (await columns_of(desk, team))["Done"]
    before = await fill(desk, team, target["id"], 2)
    ids = await fill(desk, team, column["id"], 5)
    path = f"/v1/teams/{team}/columns/{column['id']}"
    assert problem(await desk.delete(path), 409, "conflict")["reason"] == "column-not-empty"
    assert problem(await desk.delete(f"{path}?move_to={RANDOM}"), 422, "invalid-reference")
    assert problem(await desk.delete(f"{path}?move_to={column['id']}"), 422, "invalid-reference")
    key = {"Idempotency-Key": "a-column-that-goes-once"}
    gone = await desk.delete(f"{path}?move_to={target['id']}", **key)
    assert gone.status_code == 204, gone.text
    again = await desk.delete(f"{path}?move_to={target['id']}", **key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (204, "true")
    board = (await desk.get(f"/v1/teams/{team}/board")).json()
    done = next(shown for shown in board["columns"] if shown["id"] == target["id"])
    assert [task["id"] for task in done["tasks"]] == [*before, *ids]
    assert all(task["completed_at"] for task in done["tasks"])
    assert [shown["name"] for shown in board["columns"]] == ["Open", "In progress", "In review", "Done", "Cancelled"]


async def test_a_full_column_takes_several_commits_and_one_request(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.decide_columns.MOVED_AT_ONCE", 7)
    team = await desk.new_team()
    column, target = await add(desk, team, "From"), (await columns_of(desk, team))["Open"]
    ids = await fill(desk, team, column["id"], 40)
    key = {"Idempotency-Key": "a-column-in-several-steps"}
    path = f"/v1/teams/{team}/columns/{column['id']}?move_to={target['id']}"
    gone = await desk.delete(path, **key)
    assert gone.status_code == 204, gone.text
    board = (await desk.get(f"/v1/teams/{team}/board")).json()
    assert [task["id"] for task in board["columns"][0]["tasks"]] == ids
    replayed = await desk.delete(path, **key)
    assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (204, "true")


async def test_what_a_request_leaves_closing_goes_on_by_itself_and_nobody_enters(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.decide_columns.MOVED_AT_ONCE", 5)
    monkeypatch.setattr("api.endpoints.columns.CLOSING_SHARE", 0.0)
    team = await desk.new_team()
    column, target = await add(desk, team, "From"), (await columns_of(desk, team))["Done"]
    ids = await fill(desk, team, column["id"], 23)
    path = f"/v1/teams/{team}/columns/{column['id']}"
    closing = await desk.delete(f"{path}?move_to={target['id']}")
    assert (closing.status_code, closing.json()["closing_into"]) == (202, target["id"])
    body = {"team_id": team, "title": "x", "column_id": column["id"]}
    assert problem(await desk.post("/v1/tasks", body), 409, "conflict")["reason"] == "column-closing"
    other = (await columns_of(desk, team))["Open"]
    answer = await desk.delete(f"{path}?move_to={other['id']}")
    assert problem(answer, 409, "conflict")["reason"] == "column-closing"
    assert (await desk.delete(f"{path}?move_to={target['id']}")).status_code == 202

    async def is_gone() -> bool:
        return (await desk.get(path)).status_code == 404

    await until_answered(is_gone)
    board = (await desk.get(f"/v1/teams/{team}/board")).json()
    assert [task["id"] for task in board["columns"][3]["tasks"]] == ids


async def test_two_processes_agree_on_a_column_that_goes_while_both_move_its_cards(
    desk: Desk, module_database: DatabaseSettings, services: DevStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.decide_columns.MOVED_AT_ONCE", 5)
    monkeypatch.setattr("api.endpoints.columns.CLOSING_SHARE", 0.0)
    team = await desk.new_team()
    column, target = await add(desk, team, "From"), (await columns_of(desk, team))["Open"]
    ids = await fill(desk, team, column["id"], 40)
    path = f"/v1/teams/{team}/columns/{column['id']}"
    async with serving(settings_for(module_database, services.valkey.url)) as other:
        headers = desk["owner"].headers
        assert (await other.client.get(path, headers=headers)).status_code == 200
        assert (await desk.delete(f"{path}?move_to={target['id']}")).status_code == 202
        clients = (desk.client, other.client)
        moves = [
            clients[n % 2].post(f"/v1/tasks/{task}/move", json={"status": "done"}, headers=headers)
            for n, task in enumerate(ids[::-4])
        ]
        answers = await asyncio.gather(*moves)
        assert {answer.status_code for answer in answers} == {200}

        async def is_gone() -> bool:
            return all([(await client.get(path, headers=headers)).status_code == 404 for client in clients])

        await until_answered(is_gone)
        boards = [(await client.get(f"/v1/teams/{team}/board", headers=headers)).json() for client in clients]
    assert boards[0] == boards[1]
    first, done = [[task["id"] for task in boards[0]["columns"][place]["tasks"]] for place in (0, 3)]
    assert sorted(first + done) == sorted(ids)
    assert first == [task for task in ids if task in set(first)], "those that went with the column kept their order"
    assert set(done) == set(ids[::-4])
