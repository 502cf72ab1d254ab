"""The activity of a task over HTTP: who did what, in words and with names, also of what is gone since."""

from typing import Any

import pytest

from tests.support.desk import Desk

pytestmark = pytest.mark.anyio


async def activity(desk: Desk, task: dict[str, Any], more: str = "") -> list[dict[str, Any]]:
    answer = await desk.get(f"/v1/tasks/{task['id']}/activity{more}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def label(desk: Desk, name: str) -> str:
    made = await desk.post(f"/v1/teams/{desk.team}/labels", {"name": name, "color": "#00aa00"})
    return str(made.json()["id"])


async def test_every_event_says_who_did_what(desk: Desk) -> None:
    task = await desk.task("First")
    await desk.patch(f"/v1/tasks/{task['id']}", {"title": "Second", "priority": "high"}, "member")
    await desk.post(f"/v1/tasks/{task['id']}/move", {"status": "done"}, "admin")
    moved, patched, created = await activity(desk, task)
    assert moved["sentence"] == "Admin moved it from Open to Done."
    assert moved["changes"][0] == {"field": "status", "from": "open", "to": "done"}
    assert patched["sentence"] == "Member renamed it from “First” to “Second” and set the priority to high."
    assert patched["changes"] == [
        {"field": "title", "from": "First", "to": "Second"},
        {"field": "priority", "from": "none", "to": "high"},
    ]
    assert created["sentence"] == "Ada created it."
    assert (created["changes"], created["redacted"]) == ([], False)
    assert (created["seq"], created["epoch"], created["at"]) == (task["version"], 1, task["created_at"])
    assert created["actor"] == {"id": desk["owner"].user_id, "name": "Ada", "kind": "user"}
    assert created["id"] == f"{desk.team}:1:{task['version']}"


async def test_what_a_deleted_comment_leaves_behind_says_so(desk: Desk) -> None:
    task = await desk.task("First")
    comments = f"/v1/tasks/{task['id']}/comments"
    said = (await desk.post(comments, {"body": "a secret"})).json()
    await desk.patch(f"/v1/comments/{said['id']}", {"body": "another secret"})
    assert (await desk.delete(f"/v1/comments/{said['id']}")).is_success
    sentences = [item["sentence"] for item in await activity(desk, task)]
    assert sentences[0] == "Ada deleted a comment."
    assert not any("something" in one for one in sentences)


async def test_pages_go_back_in_time_without_a_gap(desk: Desk) -> None:
    task = await desk.task()
    for number in range(7):
        await desk.patch(f"/v1/tasks/{task['id']}", {"estimate": number + 1})
    everything, cursor, walked = await activity(desk, task), "", list[Any]()
    while True:
        page = (await desk.get(f"/v1/tasks/{task['id']}/activity?limit=3{cursor}")).json()
        walked += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert walked == everything
    assert len(everything) == 8


async def test_what_is_gone_keeps_the_name_that_it_had_last(desk: Desk) -> None:
    mark, parent, gone = await label(desk, "a mark"), await desk.task("Parent"), await desk.task("Gone")
    desk.people["leaver"] = await desk.site.person()
    await desk.join(desk.team, "owner", "leaver", "member")
    leaver = desk["leaver"].user_id
    task = await desk.task()
    path = f"/v1/tasks/{task['id']}"
    fields = {"label_ids": [mark], "parent_id": parent["id"], "blocked_by": [gone["id"]], "assignee_id": leaver}
    assert (await desk.patch(path, fields)).is_success
    (changed, *_) = await activity(desk, task)
    assert changed["sentence"].startswith("Ada assigned it to Leaver, added the label a mark")
    await desk.delete(f"/v1/teams/{desk.team}/labels/{mark}")
    await desk.delete(f"/v1/teams/{desk.team}/members/{leaver}")
    await desk.delete(f"/v1/tasks/{parent['id']}")
    await desk.delete(f"/v1/tasks/{gone['id']}?permanent=true")
    named = {
        change["field"]: change["to"]
        for change in next(item["changes"] for item in await activity(desk, task) if item["seq"] == changed["seq"])
    }
    assert named == {
        "assignee_id": {"id": leaver, "name": "Leaver"},
        "label_ids": [{"id": mark, "name": "a mark"}],
        "parent_id": {"id": parent["id"], "name": f"{parent['key']} Parent"},
        "blocked_by": [{"id": gone["id"], "name": gone["key"]}],
    }


async def test_columns_are_called_by_their_names_and_when_they_are_gone_by_the_last(desk: Desk) -> None:
    columns = f"/v1/teams/{desk.team}/columns"
    made = (await desk.post(columns, {"name": "Fridge", "category": "open"})).json()
    task = await desk.task()
    await desk.post(f"/v1/tasks/{task['id']}/move", {"column_id": made["id"]})
    await desk.patch(f"{columns}/{made['id']}", {"name": "Freezer"})
    (moved, _) = await activity(desk, task)
    assert moved["sentence"] == "Ada moved it from Open to Freezer."
    assert (await desk.delete(f"{columns}/{made['id']}?move_to={task['column_id']}")).is_success
    (back, moved, _) = await activity(desk, task)
    assert back["sentence"] == "Ada moved it from Freezer to Open."
    assert moved["sentence"] == "Ada moved it from Open to Freezer."


async def test_moments_are_said_in_the_teams_zone(desk: Desk) -> None:
    team = await desk.new_team()
    await desk.patch(f"/v1/teams/{team}", {"time_zone": "Asia/Tokyo"})
    task = (await desk.post("/v1/tasks", {"team_id": team, "title": "Due"})).json()
    await desk.patch(f"/v1/tasks/{task['id']}", {"due_at": "2026-03-02T20:00:00Z"})
    (due, _) = await activity(desk, task)
    assert due["sentence"] == "Ada set due to 3 March 2026, 05:00 (Asia/Tokyo)."


async def test_an_archived_task_has_its_activity(desk: Desk) -> None:
    task = await desk.task()
    await desk.delete(f"/v1/tasks/{task['id']}")
    assert [item["type"] for item in await activity(desk, task)] == ["task.archived", "task.created"]


async def test_comments_are_part_of_it_and_their_text_is_not(desk: Desk) -> None:
    task = await desk.task()
    made = await desk.post(f"/v1/tasks/{task['id']}/comments", {"body": "Between us"}, "member")
    await desk.patch(f"/v1/comments/{made.json()['id']}", {"body": "Among us"}, "member")
    await desk.delete(f"/v1/comments/{made.json()['id']}", "member")
    said = [item["sentence"] for item in await activity(desk, task)]
    assert said == [
        "Member deleted a comment.",
        "Member edited a comment that was deleted.",
        "Member added a comment that was deleted.",
        "Ada created it.",
    ]
