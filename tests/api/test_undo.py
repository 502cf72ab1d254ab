"""Undo over HTTP: by number or the newest change of whoever asks, once per key, and 409 where it cannot be."""

from typing import Any

import pytest

from tests.support.desk import RANDOM, Desk, new_key, problem

pytestmark = pytest.mark.anyio


def content(task: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name not in {"version", "updated_at"}}


async def test_the_newest_change_of_whoever_asks_is_taken_back(desk: Desk) -> None:
    task = await desk.task("First", priority="low", due_at="2026-03-01T00:00:00Z")
    path = f"/v1/tasks/{task['id']}"
    await desk.patch(path, {"title": "Second", "due_at": None})
    await desk.patch(path, {"priority": "high"}, "member")
    answer = await desk.post(f"{path}/undo", {})
    assert answer.status_code == 200, answer.text
    assert content(answer.json()) == content(task) | {"priority": "high"}
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    assert (await desk.get(path)).content == answer.content
    again = await desk.post(f"{path}/undo")
    assert again.json()["title"] == "Second", "an undo is a change of whoever asked for it"


async def test_a_change_is_named_by_its_number_and_later_ones_of_its_fields_stand_in_the_way(desk: Desk) -> None:
    task = await desk.task()
    path = f"/v1/tasks/{task['id']}"
    mine = (await desk.patch(path, {"title": "Mine", "priority": "low"})).json()
    theirs = (await desk.patch(path, {"title": "Theirs"}, "member")).json()
    document = problem(await desk.post(f"{path}/undo", {"seq": mine["version"]}), 409, "conflict")
    assert (document["reason"], document["fields"]) == ("undo-conflict", ["title"])
    assert (await desk.post(f"{path}/undo", {"seq": theirs["version"]}, "admin")).json()["title"] == "Mine"
    document = problem(await desk.post(f"{path}/undo", {"seq": 1}), 422, "invalid-reference")
    assert document["errors"][0]["pointer"] == "/seq"
    problem(
        await desk.client.post(f"{path}/undo", content=b"{}", headers=desk["owner"].headers),
        415,
        "unsupported-media-type",
    )
    wrong: list[Any] = [{"seq": 0}, {"seq": "7"}, {"other": 1}, []]
    for body in wrong:
        problem(await desk.post(f"{path}/undo", body), 400, "bad-input")


async def test_a_created_task_is_archived_and_comes_back(desk: Desk) -> None:
    task = await desk.task("Made by mistake")
    path = f"/v1/tasks/{task['id']}"
    assert (await desk.post(f"{path}/undo", {})).json()["archived_at"] is not None
    back = (await desk.post(f"{path}/undo", {})).json()
    assert content(back) == content(task)
    assert problem(await desk.post(f"{path}/undo", {}, "member"), 409, "conflict")["reason"] == "nothing-to-undo"


async def test_a_task_that_was_deleted_for_good_is_a_conflict_for_members_and_nothing_for_others(desk: Desk) -> None:
    task = await desk.task()
    path = f"/v1/tasks/{task['id']}"
    assert (await desk.delete(f"{path}?permanent=true")).status_code == 204
    assert problem(await desk.post(f"{path}/undo", {}), 409, "conflict")["reason"] == "undo-redacted"
    foreign = problem(await desk.post(f"{path}/undo", {}, "stranger"), 404, "not-found")
    random = problem(await desk.post(f"/v1/tasks/{RANDOM}/undo", {}, "stranger"), 404, "not-found")
    assert foreign == random
    problem(await desk.post(f"{path}/undo", {}, "viewer"), 403, "forbidden")


async def test_a_key_undoes_once_and_a_stale_version_nothing(desk: Desk) -> None:
    task = await desk.task("One")
    path = f"/v1/tasks/{task['id']}"
    await desk.patch(path, {"title": "Two"})
    problem(await desk.post(f"{path}/undo", {}, **{"If-Match": f'"{task["version"]}"'}), 412, "stale-version")
    key = {"Idempotency-Key": new_key()}
    first, again = [await desk.post(f"{path}/undo", {}, **key) for _ in range(2)]
    assert (first.json()["title"], again.headers["idempotent-replayed"]) == ("One", "true")
    assert first.content == again.content


async def test_one_task_of_a_batch_is_taken_back_and_the_others_stay(desk: Desk) -> None:
    one, other = await desk.task("One"), await desk.task("Other")
    operations = [{"op": "update", "id": task["id"], "title": "Changed"} for task in (one, other)]
    assert (await desk.post("/v1/tasks/batch", {"team_id": desk.team, "operations": operations})).is_success
    assert (await desk.post(f"/v1/tasks/{one['id']}/undo", {})).json()["title"] == "One"
    assert (await desk.get(f"/v1/tasks/{other['id']}")).json()["title"] == "Changed"


async def test_more_later_changes_than_a_page_of_the_journal_has_are_all_looked_at(desk: Desk) -> None:
    task = await desk.task("First")
    path = f"/v1/tasks/{task['id']}"
    mine = (await desk.patch(path, {"title": "Mine"})).json()
    for first in range(0, 600, 100):
        operations = [{"op": "update", "id": task["id"], "estimate": first + number} for number in range(1, 101)]
        await desk.post("/v1/tasks/batch", {"team_id": desk.team, "operations": operations})
    undone = (await desk.post(f"{path}/undo", {"seq": mine["version"]})).json()
    assert (undone["title"], undone["estimate"]) == ("First", 600)
    await desk.patch(path, {"title": "Last"})
    problem(await desk.post(f"{path}/undo", {"seq": mine["version"]}), 409, "conflict")
