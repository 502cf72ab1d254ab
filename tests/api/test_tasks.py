"""Tasks over HTTP: create, read, list, change, move, archive, restore, delete, batch, activity."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.desk import RANDOM, Desk, problem

pytestmark = pytest.mark.anyio


async def test_a_created_task_says_where_it_is_and_at_which_version(desk: Desk) -> None:
    answer = await desk.post("/v1/tasks", {"team_id": desk.team, "title": "Ship it", "priority": "high"})
    task = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert answer.headers["etag"] == f'"{task["version"]}"'
    assert answer.headers["taskforge-team"] == desk.team
    assert answer.headers["taskforge-seq"] == str(task["version"])
    assert task["key"] == f"ENG-{task['number']}"
    assert (task["title"], task["priority"], task["status"]) == ("Ship it", "high", "open")
    assert task["created_by"] == desk["owner"].user_id
    read = await desk.get(answer.headers["location"])
    assert read.content == answer.content
    assert read.headers["etag"] == answer.headers["etag"]


async def test_the_two_names_of_a_task_give_the_same_bytes(desk: Desk) -> None:
    task = await desk.task()
    by_id = await desk.get(f"/v1/tasks/{task['id']}")
    by_number = await desk.get(f"/v1/teams/{desk.team}/tasks/by-number/{task['number']}")
    assert by_id.content == by_number.content
    problem(await desk.get(f"/v1/teams/{desk.team}/tasks/by-number/999999"), 404, "not-found")
    problem(await desk.get(f"/v1/teams/{desk.team}/tasks/by-number/{'9' * 18}"), 404, "not-found")


async def test_what_the_client_has_already_is_not_sent_again(desk: Desk) -> None:
    task = await desk.task()
    for path in (f"/v1/tasks/{task['id']}", f"/v1/tasks?team_id={desk.team}", f"/v1/teams/{desk.team}/board"):
        first = await desk.get(path)
        for known in (first.headers["etag"], f'"other", W/{first.headers["etag"].removeprefix("W/")}', "*"):
            again = await desk.get(path, **{"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"].removeprefix("W/") == first.headers["etag"].removeprefix("W/")
        await desk.patch(f"/v1/tasks/{task['id']}", {"title": f"Changed for {path}"})
        changed = await desk.get(path, **{"If-None-Match": first.headers["etag"]})
        assert changed.status_code == 200


async def test_me_is_somebody_else_for_somebody_else(desk: Desk) -> None:
    path = f"/v1/tasks?team_id={desk.team}&assignee=me"
    mine = await desk.task(assignee_id=desk["owner"].user_id)
    first, second = await desk.get(path), await desk.get(path, "viewer")
    assert mine["id"] in [task["id"] for task in first.json()["items"]]
    assert second.json()["items"] == []
    assert first.headers["etag"] != second.headers["etag"]


async def test_a_merge_patch_changes_what_it_names_and_clears_what_is_null(desk: Desk) -> None:
    task = await desk.task(description="long", due_at="2026-03-01T12:00:00+02:00")
    assert task["due_at"] == "2026-03-01T10:00:00Z"
    answer = await desk.ask(
        "PATCH",
        f"/v1/tasks/{task['id']}",
        content=b'{"due_at": null, "title": "New"}',
        headers={"Content-Type": "application/merge-patch+json; charset=utf-8"},
    )
    changed = answer.json()
    assert (changed["title"], changed["due_at"], changed["description"]) == ("New", None, "long")
    assert answer.headers["etag"] == f'"{changed["version"]}"'


async def test_a_patch_that_changes_nothing_keeps_the_version(desk: Desk) -> None:
    task = await desk.task()
    answer = await desk.patch(f"/v1/tasks/{task['id']}", {"title": task["title"]})
    assert answer.status_code == 200
    assert answer.json() == task
    assert answer.headers["etag"] == f'"{task["version"]}"'


async def test_a_stale_if_match_lists_what_both_sides_changed(desk: Desk) -> None:
    task = await desk.task("Mine", description="as it was")
    path, etag = f"/v1/tasks/{task['id']}", f'"{task["version"]}"'
    theirs = await desk.patch(path, {"title": "Theirs", "priority": "low"}, "member", **{"If-Match": etag})
    assert theirs.status_code == 200
    refused = await desk.patch(path, {"title": "Yours", "description": "new"}, **{"If-Match": etag})
    document = problem(refused, 412, "stale-version")
    assert document["conflicts"] == [{"field": "title", "base": "Mine", "theirs": "Theirs", "yours": "Yours"}]
    assert refused.headers["etag"] == theirs.headers["etag"]
    again = await desk.patch(path, {"title": "Yours"}, **{"If-Match": refused.headers["etag"]})
    assert again.json()["title"] == "Yours"
    assert (await desk.patch(path, {"title": "Any"}, **{"If-Match": "*"})).status_code == 200


@pytest.mark.parametrize("value", ["42", 'w/"42"', '"1" "2"', '"1', "", ",", '"a b"', '*, "1"', '"1";', "W/42", "W/*"])
async def test_an_if_match_that_is_no_list_of_etags_is_refused(desk: Desk, value: str) -> None:
    task = await desk.task()
    answer = await desk.patch(f"/v1/tasks/{task['id']}", {"title": "x"}, **{"If-Match": value})
    assert problem(answer, 400, "bad-input")["parameter"] == "If-Match"


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST"])
@pytest.mark.parametrize(
    "value",
    ['W/"{v}"', '"1"', '"1", W/"{v}"', '"x"', '""', '"99999999999999999999999"', '"{v}x"', '"{v}-owner"', '"0{v}1"'],
)
async def test_an_if_match_without_a_strong_etag_of_the_current_version_is_stale(
    desk: Desk, value: str, method: str
) -> None:
    task = await desk.task()
    path = f"/v1/tasks/{task['id']}" + ("/move" if method == "POST" else "")
    headers = {"If-Match": value.format(v=task["version"])}
    body = {"title": "x"} if method == "PATCH" else {"status": "done"} if method == "POST" else None
    document = problem(await desk.ask(method, path, json=body, headers=headers), 412, "stale-version")
    assert document["current_version"] == task["version"]
    assert (await desk.get(f"/v1/tasks/{task['id']}")).json() == task


@pytest.mark.parametrize("value", ['"1", "{v}"', '"{v}","x"', ', "{v}" ,,', '"{v}-gzip"', '"{v};br"', '"{v}" , "7"'])
async def test_one_strong_etag_of_several_is_enough(desk: Desk, value: str) -> None:
    task = await desk.task()
    answer = await desk.patch(
        f"/v1/tasks/{task['id']}", {"title": "x"}, **{"If-Match": value.format(v=task["version"])}
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "value",
    ['W/"{v}"', '"{v}-gzip"', '"{v};br"', 'W/"{v}-zstd"', '"{v}--gzip"', '"1", "{v};gzip"', "*", '"{v}-deflate"'],
)
async def test_an_etag_that_a_proxy_weakened_or_marked_with_a_coding_is_still_known(desk: Desk, value: str) -> None:
    task = await desk.task()
    path = f"/v1/tasks/{task['id']}"
    assert (await desk.get(path, **{"If-None-Match": value.format(v=task["version"])})).status_code == 304
    other = value.replace("*", '"2"').format(v=task["version"] + 1)
    assert (await desk.get(path, **{"If-None-Match": other})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/tasks?team_id={team}", None),
        ("GET", "/v1/me", None),
        ("PATCH", "/v1/me", {"name": "Ada"}),
        ("POST", "/v1/tasks", {"team_id": "{team}", "title": "x"}),
        ("POST", "/v1/tasks/batch", {"team_id": "{team}", "operations": [{"op": "create", "title": "x"}]}),
        ("PATCH", "/v1/teams/{team}", {"name": "x"}),
        ("POST", "/v1/live-tickets", {"team_id": "{team}"}),
    ],
)
async def test_an_if_match_that_is_not_honoured_is_not_ignored(desk: Desk, method: str, path: str, body: Any) -> None:
    body = body and {name: desk.team if value == "{team}" else value for name, value in body.items()}
    answer = await desk.ask(method, path.format(team=desk.team), json=body, headers={"If-Match": '"1"'})
    assert problem(answer, 400, "bad-input")["parameter"] == "If-Match"


async def test_a_move_puts_a_task_between_its_neighbours(desk: Desk) -> None:
    team = await desk.new_team()
    first, second, third = [
        (await desk.post("/v1/tasks", {"team_id": team, "title": title})).json() for title in ("one", "two", "three")
    ]
    answer = await desk.post(f"/v1/tasks/{third['id']}/move", {"before_id": second["id"]})
    assert answer.status_code == 200
    assert first["rank"] < answer.json()["rank"] < second["rank"]
    moved = await desk.post(f"/v1/tasks/{first['id']}/move", {"status": "done"})
    assert moved.json()["completed_at"] is not None
    board = (await desk.get(f"/v1/teams/{team}/board")).json()
    titles = {column["category"]: [task["title"] for task in column["tasks"]] for column in board["columns"]}
    assert titles == {"open": ["three", "two"], "in_progress": [], "in_review": [], "done": ["one"], "cancelled": []}
    assert board["seq"] == int(moved.headers["taskforge-seq"])
    wrong = await desk.post(f"/v1/tasks/{second['id']}/move", {"after_id": RANDOM})
    assert problem(wrong, 422, "invalid-reference")["errors"][0]["pointer"] == "/after_id"


async def test_an_archived_task_leaves_the_board_and_comes_back(desk: Desk) -> None:
    task = await desk.task("Old")
    path, number = f"/v1/tasks/{task['id']}", f"/v1/teams/{desk.team}/tasks/by-number/{task['number']}"
    archived = await desk.delete(path)
    assert archived.status_code == 200
    assert archived.json()["archived_at"] is not None
    assert (await desk.get(path)).content == archived.content
    assert (await desk.get(number)).headers["etag"] == archived.headers["etag"]
    assert (await desk.get(path, **{"If-None-Match": archived.headers["etag"]})).status_code == 304
    assert task["id"] not in await ids(desk, "")
    assert task["id"] in await ids(desk, "&archived=true")
    assert problem(await desk.patch(path, {"title": "x"}), 409, "conflict")["reason"] == "archived"
    restored = await desk.post(f"{path}/restore")
    assert restored.json()["archived_at"] is None
    assert problem(await desk.post(f"{path}/restore"), 409, "conflict")["reason"] == "not-archived"
    assert task["id"] in await ids(desk, "")


async def ids(desk: Desk, query: str) -> list[str]:
    answer = await desk.get(f"/v1/tasks?team_id={desk.team}&limit=100{query}")
    assert answer.status_code == 200, answer.text
    return [task["id"] for task in answer.json()["items"]]


async def test_only_admins_delete_for_good(desk: Desk) -> None:
    task = await desk.task()
    path = f"/v1/tasks/{task['id']}"
    assert problem(await desk.delete(f"{path}?permanent=true", "member"), 403, "forbidden")["permission"]
    gone = await desk.delete(f"{path}?permanent=true", "admin")
    assert (gone.status_code, gone.content, gone.headers.get("content-type")) == (204, b"", None)
    problem(await desk.get(path), 404, "not-found")


async def test_a_batch_is_all_or_nothing_at_one_range_of_numbers(desk: Desk) -> None:
    task = await desk.task("Before")
    operations: list[dict[str, Any]] = [
        {"op": "create", "title": "From a batch"},
        {"op": "update", "id": task["id"], "title": "After"},
        {"op": "move", "id": task["id"], "status": "done"},
    ]
    body = {"team_id": desk.team, "operations": operations}
    pretended = await desk.post("/v1/tasks/batch?dry_run=true", body)
    assert pretended.json()["items"][1]["title"] == "After"
    assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["title"] == "Before"
    answer = await desk.post("/v1/tasks/batch", body)
    done = answer.json()
    assert done["seq_to"] - done["seq_from"] == 2
    assert answer.headers["taskforge-seq"] == str(done["seq_to"])
    assert [item["title"] for item in done["items"]] == ["From a batch", "After", "After"]
    body["operations"] = [{"op": "update", "id": task["id"], "title": "Never"}, {"op": "archive", "id": RANDOM}]
    problem(await desk.post("/v1/tasks/batch", body), 404, "not-found")
    assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["title"] == "After"


@pytest.mark.parametrize(
    ("operation", "pointer"),
    [
        ({"op": "create"}, "/operations/0/title"),
        ({"op": "explode", "id": RANDOM}, "/operations/0/op"),
        ({"op": "create", "title": "x", "version": 3}, "/operations/0/version"),
        ({"op": "update", "id": "x"}, "/operations/0/id"),
    ],
)
async def test_a_wrong_operation_is_named(desk: Desk, operation: dict[str, Any], pointer: str) -> None:
    answer = await desk.post("/v1/tasks/batch", {"team_id": desk.team, "operations": [operation]})
    assert problem(answer, 400, "bad-input")["errors"][0]["pointer"] == pointer


async def test_a_batch_of_none_or_too_many_is_refused(desk: Desk) -> None:
    for count in (0, 101):
        body = {"team_id": desk.team, "operations": [{"op": "create", "title": "x"}] * count}
        problem(await desk.post("/v1/tasks/batch", body), 400, "bad-input")


async def test_activity_has_the_tasks_events_newest_first_in_pages(desk: Desk) -> None:
    task = await desk.task()
    path = f"/v1/tasks/{task['id']}"
    for title in ("two", "three"):
        await desk.patch(path, {"title": title})
    everything = (await desk.get(f"{path}/activity")).json()
    assert [event["type"] for event in everything["items"]] == ["task.updated", "task.updated", "task.created"]
    assert everything["next_cursor"] is None
    assert everything["items"][0]["changes"] == [{"field": "title", "from": "two", "to": "three"}]
    first = (await desk.get(f"{path}/activity?limit=2")).json()
    rest = (await desk.get(f"{path}/activity?limit=2&cursor={first['next_cursor']}")).json()
    assert [*first["items"], *rest["items"]] == everything["items"]
    assert rest["next_cursor"] is None


async def test_filters_and_sorts_answer_what_they_say(desk: Desk) -> None:
    team, label = await desk.new_team(), ""
    label = (await desk.post(f"/v1/teams/{team}/labels", {"name": "bug", "color": "#ff0000"})).json()["id"]
    me = desk["owner"].user_id
    given: list[dict[str, Any]] = [
        {"title": "alpha", "priority": "low", "due_at": "2026-01-01T00:00:00Z", "assignee_id": me},
        {"title": "Beta", "priority": "urgent", "label_ids": [label], "status": "done"},
        {"title": "gamma ray", "priority": "none", "estimate": 3},
    ]
    tasks = [(await desk.post("/v1/tasks", {"team_id": team, **fields})).json() for fields in given]
    child = (await desk.post("/v1/tasks", {"team_id": team, "title": "child", "parent_id": tasks[0]["id"]})).json()
    for query, titles in (
        ("sort=title", ["Beta", "alpha", "child", "gamma ray"]),
        ("sort=-priority", ["Beta", "alpha", "child", "gamma ray"]),
        ("sort=number&status=open,in_progress", ["alpha", "gamma ray", "child"]),
        ("assignee=me", ["alpha"]),
        (f"assignee={me}", ["alpha"]),
        ("assignee=none&sort=number", ["Beta", "gamma ray", "child"]),
        (f"label={label}", ["Beta"]),
        ("priority=urgent,low&sort=number", ["alpha", "Beta"]),
        ("due_before=2026-06-01T00:00:00Z", ["alpha"]),
        (f"parent={tasks[0]['id']}", ["child"]),
        ("parent=none&sort=number", ["alpha", "Beta", "gamma ray"]),
        ("q=RAY", ["gamma ray"]),
        (f"updated_after={child['updated_at']}", ["child"]),
        ("sort=estimate&limit=1", ["gamma ray"]),
    ):
        answer = await desk.get(f"/v1/tasks?team_id={team}&{query}")
        got = sorted(titles) if query == "sort=-priority" else titles
        found = [task["title"] for task in answer.json()["items"]]
        assert (sorted(found) if query == "sort=-priority" else found) == got, query


@pytest.mark.parametrize("scope", ["team", "mine"])
async def test_pages_follow_each_other_without_gap_or_repeat(desk: Desk, scope: str) -> None:
    team = await desk.new_team("stranger")
    for number in range(7):
        await desk.post("/v1/tasks", {"team_id": team, "title": f"t{number}"}, "stranger")
    query = f"?team_id={team}&limit=3" if scope == "team" else "?limit=3"
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await desk.get(f"/v1/tasks{query}{cursor and '&cursor=' + cursor}", "stranger")).json()
        seen += [task["id"] for task in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) >= 7
    assert seen == sorted(seen, reverse=True)


async def test_without_a_team_the_list_spans_my_teams_and_no_others(desk: Desk) -> None:
    one, two = await desk.new_team("admin"), await desk.new_team("admin")
    for team in (one, two):
        await desk.post("/v1/tasks", {"team_id": team, "title": "spanning"}, "admin")
    await desk.post("/v1/tasks", {"team_id": desk.other_team, "title": "spanning"}, "stranger")
    answer = await desk.get("/v1/tasks?q=spanning", "admin")
    assert {task["team_id"] for task in answer.json()["items"]} == {one, two}
    assert "taskforge-team" not in answer.headers


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("colour=red", "colour"),
        ("status=open,weird", "status"),
        ("sort=secret", "sort"),
        ("sort=", "sort"),
        ("assignee=somebody", "assignee"),
        ("label=x", "label"),
        ("due_before=yesterday", "due_before"),
        ("due_before=2026-01-01T00:00:00", "due_before"),
        ("updated_after=0001-01-01T00:00:00Z", "updated_after"),
        ("changed_since_seq=x", "changed_since_seq"),
        ("changed_since_seq=0:1", "changed_since_seq"),
        (f"changed_since_seq={2**63}", "changed_since_seq"),
        ("parent=x", "parent"),
        ("archived=perhaps", "archived"),
        ("team_id=x", "team_id"),
        ("cursor=forged", "cursor"),
        ("q=", "q"),
        ("limit=1&limit=2", "limit"),
    ],
)
async def test_a_wrong_parameter_is_named(desk: Desk, query: str, parameter: str) -> None:
    prefix = "" if parameter == "team_id" else f"team_id={desk.team}&"
    answer = await desk.get(f"/v1/tasks?{prefix}{query}")
    assert problem(answer, 400, "bad-input")["parameter"] == parameter


async def test_a_task_is_found_by_where_it_came_from(desk: Desk) -> None:
    team, other = await desk.new_team(), await desk.new_team()
    for where, source, number in ((team, "jira", "1"), (team, "jira", "2"), (team, "csv", "1"), (other, "jira", "1")):
        body = {"team_id": where, "title": f"{source} {number}", "external_source": source, "external_id": number}
        assert (await desk.post("/v1/tasks", body)).status_code == 201
    archived = (await desk.get(f"/v1/tasks?team_id={team}&external_id=2")).json()["items"][0]
    for query, titles in (
        ("external_source=jira&sort=title", ["jira 1", "jira 2"]),
        ("external_id=1&sort=title", ["csv 1", "jira 1"]),
        ("external_id=1&external_source=jira", ["jira 1"]),
        ("external_id=3", []),
        ("external_id=1&external_source=JIRA", []),
    ):
        answer = await desk.get(f"/v1/tasks?team_id={team}&{query}")
        assert [task["title"] for task in answer.json()["items"]] == titles, query
    await desk.delete(f"/v1/tasks/{archived['id']}")
    gone = await desk.get(f"/v1/tasks?team_id={team}&external_id=2&archived=true")
    assert [task["id"] for task in gone.json()["items"]] == [archived["id"]]
    mine = await desk.get("/v1/tasks?external_id=1&external_source=jira")
    assert {team, other} <= {task["team_id"] for task in mine.json()["items"]}
    for parameter in ("external_id", "external_source"):
        problem(await desk.get(f"/v1/tasks?{parameter}="), 400, "bad-input")


async def test_asking_again_from_the_last_time_seen_misses_nothing_of_the_same_moment(desk: Desk) -> None:
    team = await desk.new_team()
    operations = [{"op": "create", "title": f"t{number}"} for number in range(7)]
    batch = await desk.post("/v1/tasks/batch", {"team_id": team, "operations": operations})
    ids = {task["id"] for task in batch.json()["items"]}
    times = {task["updated_at"] for task in batch.json()["items"]}
    assert len(times) == 1, "all of a batch is of one moment"
    first = (await desk.get(f"/v1/tasks?team_id={team}&sort=updated_at&limit=3")).json()["items"]
    since = first[-1]["updated_at"]
    asked = {"team_id": team, "sort": "updated_at", "updated_after": since}
    again = await desk.ask("GET", "/v1/tasks", params=asked)
    assert {task["id"] for task in again.json()["items"]} == ids


async def test_a_cursor_of_another_order_is_refused(desk: Desk) -> None:
    await desk.task()
    await desk.task()
    page = (await desk.get(f"/v1/tasks?team_id={desk.team}&limit=1")).json()
    answer = await desk.get(f"/v1/tasks?team_id={desk.team}&sort=title&cursor={page['next_cursor']}")
    assert problem(answer, 400, "bad-input")["parameter"] == "cursor"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "/title"),
        ({"title": ""}, "/title"),
        ({"title": "x" * 501}, "/title"),
        ({"title": "x", "status": "nope"}, "/status"),
        ({"title": "x", "label_ids": ["x"]}, "/label_ids/0"),
        ({"title": "x", "rank": "a"}, "/rank"),
        ({"title": "x", "number": 7}, "/number"),
        ({"title": "x", "created_by": RANDOM}, "/created_by"),
        ({"title": "x", "due_at": "2026-01-01"}, "/due_at"),
        ({"title": "x", "estimate": -1}, "/estimate"),
        ({"title": "x", "description": "é" * 40_000}, "/description"),
        ({"title": "x", "external_id": "1"}, "/external_source"),
        ({"title": "nul\0"}, "/title"),
        ({"title": "   "}, "/title"),
        ({"title": "x", "due_at": "0001-01-01T00:00:00Z"}, "/due_at"),
    ],
)
async def test_a_wrong_field_is_pointed_at(desk: Desk, fields: dict[str, Any], pointer: str) -> None:
    answer = await desk.post("/v1/tasks", {"team_id": desk.team, **fields})
    assert problem(answer, 400, "bad-input")["errors"][0]["pointer"] == pointer


async def test_a_reference_to_nothing_is_unprocessable(desk: Desk) -> None:
    answer = await desk.post("/v1/tasks", {"team_id": desk.team, "title": "x", "label_ids": [RANDOM]})
    assert problem(answer, 422, "invalid-reference")["errors"][0]["pointer"] == "/label_ids/0"


async def test_times_are_answered_in_utc(desk: Desk) -> None:
    task = await desk.task()
    for name in ("created_at", "updated_at"):
        assert datetime.fromisoformat(task[name]).utcoffset() == timedelta()


async def test_the_top_of_a_board_goes_on_by_cursor_to_its_end(desk: Desk) -> None:
    team = await desk.site.team(desk["owner"])
    operations = [{"op": "create", "title": f"t{n:02d}", "status": "open" if n < 17 else "done"} for n in range(20)]
    (await desk.post("/v1/tasks/batch", {"team_id": team, "operations": operations})).raise_for_status()
    whole = (await desk.get(f"/v1/teams/{team}/board")).json()
    top = (await desk.get(f"/v1/teams/{team}/board?per_column=5")).json()
    assert (top["seq"], top["epoch"]) == (whole["seq"], whole["epoch"])
    for column, all_of_it in zip(top["columns"], whole["columns"], strict=True):
        assert (column["id"], column["count"]) == (all_of_it["id"], len(all_of_it["tasks"]))
        found, cursor = column["tasks"], column["next_cursor"]
        assert len(found) == min(5, column["count"])
        while cursor is not None:
            path = f"/v1/tasks?team_id={team}&column={column['id']}&sort=rank&limit=5&cursor={cursor}"
            page = (await desk.get(path)).json()
            found, cursor = [*found, *page["items"]], page["next_cursor"]
        assert found == all_of_it["tasks"]
    for wrong in ("0", "101", "many", ""):
        answer = await desk.get(f"/v1/teams/{team}/board?per_column={wrong}")
        assert (answer.status_code, "per_column" in answer.text) == (400, True)


async def test_a_task_recurs_by_a_rule_and_a_bad_one_names_its_field(desk: Desk) -> None:
    body = {"team_id": desk.team, "title": "Water", "due_on": "2026-03-02"}
    made = await desk.post("/v1/tasks", {**body, "recurrence": {"rule": "freq=weekly;byday=mo"}})
    assert made.status_code == 201
    series = {"start": "2026-03-02", "on": "2026-03-02", "number": 1, "time": None, "next_id": None}
    assert made.json()["recurrence"] == {"rule": "FREQ=WEEKLY;BYDAY=MO", "when": "due", **series}
    path = f"/v1/tasks/{made.json()['id']}"
    for wanted, pointer in (
        ({"rule": "FREQ=SECONDLY"}, "/recurrence/rule"),
        ({"rule": "FREQ=DAILY", "next_id": desk.team}, "/recurrence/next_id"),
        ({"rule": "FREQ=DAILY", "when": "never"}, "/recurrence/when"),
        ({"rule": "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30"}, "/recurrence"),
    ):
        refused = await desk.patch(path, {"recurrence": wanted})
        assert refused.status_code == 400, wanted
        assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    ended = await desk.patch(path, {"recurrence": None})
    assert ended.json()["recurrence"] is None
    assert (await desk.get(path)).json() == ended.json()
