"""Comments over HTTP: written, shown, paged, edited, deleted, and what they said before."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from core.commands import RemoveMember
from tests.support.asking import by
from tests.support.desk import RANDOM, Desk, new_key, problem

pytestmark = pytest.mark.anyio


async def said(desk: Desk, task_id: str, body: str = "Is it dry?", who: str = "member") -> dict[str, Any]:
    answer = await desk.post(f"/v1/tasks/{task_id}/comments", {"body": body}, who)
    assert answer.status_code == 201, answer.text
    comment: dict[str, Any] = answer.json()
    return comment


async def test_a_comment_is_answered_as_it_is_read_and_counts_on_its_task(desk: Desk) -> None:
    task = await desk.task()
    answer = await desk.post(f"/v1/tasks/{task['id']}/comments", {"body": "Is it **dry**, @Admin?"}, "member")
    comment, admin = answer.json(), {"id": desk["admin"].user_id, "name": "Admin"}
    assert answer.status_code == 201
    assert comment["body"] == "Is it **dry**, @Admin?"
    mention = f'<span class="mention" data-user="{admin["id"]}">@Admin</span>'
    assert comment["html"] == f"<p>Is it <strong>dry</strong>, {mention}?</p>\n"
    assert comment["mentions"] == [admin]
    assert comment["author"] == {"id": desk["member"].user_id, "name": "Member"}
    assert (comment["task_id"], comment["team_id"]) == (task["id"], desk.team)
    assert answer.headers["location"] == f"/v1/comments/{comment['id']}"
    assert answer.headers["etag"] == f'"{comment["version"]}"'
    assert answer.headers["taskforge-seq"] == str(comment["version"])

    read = await desk.get(answer.headers["location"], "viewer")
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, comment, answer.headers["etag"])
    after = (await desk.get(f"/v1/tasks/{task['id']}", "viewer")).json()
    assert (after["comment_count"], after["version"]) == (1, comment["version"])


async def test_the_board_and_the_events_have_the_count_too(desk: Desk) -> None:
    task = await desk.task()
    comment = await said(desk, task["id"])
    board = (await desk.get(f"/v1/teams/{desk.team}/board")).json()
    shown = next(one for column in board["columns"] for one in column["tasks"] if one["id"] == task["id"])
    assert shown["comment_count"] == 1
    activity = (await desk.get(f"/v1/tasks/{task['id']}/activity")).json()["items"]
    assert [entry["type"] for entry in activity] == ["comment.added", "task.created"]
    (event,) = (await desk.get(f"/v1/teams/{desk.team}/events?after={comment['version'] - 1}")).json()["items"]
    assert (event["type"], event["subject"]) == ("comment.added", task["id"])
    assert event["data"]["counts"] == {"comments": 1, "attachments": 0}
    assert event["data"]["comment"]["id"] == comment["id"]
    assert event["data"]["task"] == shown


async def test_pages_go_through_all_comments_in_both_orders_while_others_write(desk: Desk) -> None:
    task = await desk.task()
    wanted = [(await said(desk, task["id"], f"number {number}"))["id"] for number in range(7)]
    for sort, expected in (("created_at", wanted), ("-created_at", wanted[::-1])):
        found, cursor = list[str](), ""
        while True:
            page = (await desk.get(f"/v1/tasks/{task['id']}/comments?limit=3&sort={sort}{cursor}")).json()
            found += [comment["id"] for comment in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
            await desk.post(f"/v1/tasks/{(await desk.task())['id']}/comments", {"body": "elsewhere"})
        assert found == expected
    problem(await desk.get(f"/v1/tasks/{task['id']}/comments?sort=created_at{cursor}"), 400, "bad-input")


async def test_comments_written_during_a_walk_come_at_its_end(desk: Desk) -> None:
    task = await desk.task()
    first = [(await said(desk, task["id"], f"number {number}"))["id"] for number in range(3)]
    page = (await desk.get(f"/v1/tasks/{task['id']}/comments?limit=2")).json()
    late = (await said(desk, task["id"], "late"))["id"]
    rest = (await desk.get(f"/v1/tasks/{task['id']}/comments?cursor={page['next_cursor']}")).json()
    assert [comment["id"] for comment in page["items"] + rest["items"]] == [*first, late]
    assert rest["next_cursor"] is None


async def test_an_edit_keeps_what_was_said_before(desk: Desk) -> None:
    task = await desk.task()
    comment = await said(desk, task["id"], "one for @Admin")
    path = f"/v1/comments/{comment['id']}"
    answer = await desk.patch(path, {"body": "two for @Viewer"}, "member", **{"If-Match": f'"{comment["version"]}"'})
    edited = answer.json()
    assert (answer.status_code, edited["body"], edited["created_at"]) == (200, "two for @Viewer", comment["created_at"])
    assert answer.headers["etag"] == f'"{edited["version"]}"'
    assert (await desk.get(path)).json() == edited

    versions = (await desk.get(f"{path}/edits", "viewer")).json()
    assert [(one["version"], one["body"], one["redacted"]) for one in versions["items"]] == [
        (edited["version"], "two for @Viewer", False),
        (comment["version"], "one for @Admin", False),
    ]
    page = (await desk.get(f"{path}/edits?limit=1")).json()
    rest = (await desk.get(f"{path}/edits?limit=1&cursor={page['next_cursor']}")).json()
    assert page["items"] + rest["items"] == versions["items"]
    assert rest["next_cursor"] is None


async def test_an_edit_that_changes_nothing_answers_the_comment_as_it_is(desk: Desk) -> None:
    comment = await said(desk, (await desk.task())["id"], "@Admin")
    for body in ({"body": "@ADMIN"}, {}):
        answer = await desk.patch(f"/v1/comments/{comment['id']}", body, "member")
        assert (answer.status_code, answer.json()) == (200, comment)


async def test_a_stale_edit_says_what_stands_there(desk: Desk) -> None:
    comment = await said(desk, (await desk.task())["id"], "@Admin one")
    path, seen = f"/v1/comments/{comment['id']}", {"If-Match": f'"{comment["version"]}"'}
    await desk.patch(path, {"body": "@Admin two"}, "member")
    refused = problem(await desk.patch(path, {"body": "three"}, "member", **seen), 412, "stale-version")
    assert refused["conflicts"] == [{"field": "body", "base": None, "theirs": "@Admin two", "yours": "three"}]
    problem(await desk.delete(path, "member", **seen), 412, "stale-version")


async def test_authors_edit_and_delete_admins_delete_and_nobody_else(desk: Desk) -> None:
    task = await desk.task()
    mine, theirs = await said(desk, task["id"]), await said(desk, task["id"], who="admin")
    for who in ("owner", "admin", "viewer"):
        problem(await desk.patch(f"/v1/comments/{mine['id']}", {"body": "no"}, who), 403, "forbidden")
    problem(await desk.delete(f"/v1/comments/{theirs['id']}", "member"), 403, "forbidden")
    problem(await desk.post(f"/v1/tasks/{task['id']}/comments", {"body": "no"}, "viewer"), 403, "forbidden")
    for comment in (mine, theirs):
        gone = await desk.delete(f"/v1/comments/{comment['id']}", "owner")
        assert (gone.status_code, gone.content) == (204, b"")
        for path in (f"/v1/comments/{comment['id']}", f"/v1/comments/{comment['id']}/edits"):
            problem(await desk.get(path), 404, "not-found")
    assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["comment_count"] == 0


async def test_a_foreign_comment_looks_like_one_that_does_not_exist(desk: Desk) -> None:
    answer = await desk.post(f"/v1/tasks/{desk.other_task['id']}/comments", {"body": "ours"}, "stranger")
    foreign = answer.json()["id"]

    async def asked(comment_id: str) -> list[tuple[int, dict[str, Any]]]:
        path = f"/v1/comments/{comment_id}"
        answers = [
            await desk.get(path),
            await desk.get(f"{path}/edits"),
            await desk.patch(path, {"body": "mine"}),
            await desk.delete(path),
        ]
        return [(one.status_code, one.json()) for one in answers]

    found, random = await asked(foreign), await asked(RANDOM)
    assert [status for status, _ in found] == [404] * 4
    assert found == random


async def test_a_task_that_is_archived_is_read_and_not_talked_about(desk: Desk) -> None:
    task = await desk.task()
    comment = await said(desk, task["id"])
    await desk.delete(f"/v1/tasks/{task['id']}")
    for answer in (
        await desk.post(f"/v1/tasks/{task['id']}/comments", {"body": "so"}),
        await desk.patch(f"/v1/comments/{comment['id']}", {"body": "so"}, "member"),
        await desk.delete(f"/v1/comments/{comment['id']}", "member"),
    ):
        assert problem(answer, 409, "conflict")["reason"] == "archived"
    page = (await desk.get(f"/v1/tasks/{task['id']}/comments")).json()
    assert page["items"] == [comment]
    await desk.post(f"/v1/tasks/{task['id']}/restore")
    await said(desk, task["id"])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/body"),
        ({"body": ""}, "/body"),
        ({"body": " \n "}, "/body"),
        ({"body": "a\0b"}, "/body"),
        ({"body": "é" * 40_000}, "/body"),
        ({"body": None}, "/body"),
        ({"body": "so", "author_id": RANDOM}, "/author_id"),
        ({"body": "so", "html": "<b>"}, "/html"),
    ],
)
async def test_what_is_no_comment_is_refused_with_its_place(desk: Desk, body: Any, pointer: str) -> None:
    task = await desk.task()
    refused = problem(await desk.post(f"/v1/tasks/{task['id']}/comments", body), 400, "bad-input")
    assert [error["pointer"] for error in refused["errors"]] == [pointer]


async def test_a_used_key_makes_no_second_comment_and_answers_what_the_first_one_did(desk: Desk) -> None:
    task, key = await desk.task(), new_key()
    path, body, keyed = f"/v1/tasks/{task['id']}/comments", {"body": "@Admin once"}, {"Idempotency-Key": key}
    first, second = [await desk.post(path, body, **keyed) for _ in range(2)]
    assert (first.content, second.content) == (first.content, first.content)
    assert second.headers["idempotent-replayed"] == "true"
    assert len((await desk.get(path)).json()["items"]) == 1
    problem(await desk.post(path, {"body": "twice"}, **keyed), 422, "idempotency-key-reused")

    key, comment = new_key(), first.json()
    gone = [await desk.delete(f"/v1/comments/{comment['id']}", **{"Idempotency-Key": key}) for _ in range(2)]
    assert [answer.status_code for answer in gone] == [204, 204]


async def test_comments_at_once_are_all_counted(desk: Desk) -> None:
    task = await desk.task()
    before = [await said(desk, task["id"]) for _ in range(4)]
    adding = [said(desk, task["id"], f"number {number}") for number in range(12)]
    deleting = [desk.delete(f"/v1/comments/{comment['id']}", "member") for comment in before]
    await asyncio.gather(*adding, *deleting)
    assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["comment_count"] == 12
    assert len((await desk.get(f"/v1/tasks/{task['id']}/comments")).json()["items"]) == 12


async def test_a_task_and_its_comments_can_be_deleted_for_good_at_the_same_moment(desk: Desk) -> None:
    tasks = [await desk.task() for _ in range(6)]
    asked: list[Any] = []
    for task in tasks:
        asked += [desk.post(f"/v1/tasks/{task['id']}/comments", {"body": f"{number}"}) for number in range(3)]
        asked.append(desk.delete(f"/v1/tasks/{task['id']}?permanent=true"))
    answers: list[httpx.Response] = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} <= {201, 204, 404}
    for task in tasks:
        problem(await desk.get(f"/v1/tasks/{task['id']}/comments"), 404, "not-found")


async def test_people_are_called_as_they_are_now_or_were_when_they_left(desk: Desk) -> None:
    desk.people["passing"] = await desk.site.person()
    await desk.join(desk.team, "owner", "passing", "member")
    task, passing = await desk.task(), desk["passing"]
    await said(desk, task["id"], "I am @Passing", "passing")
    path = f"/v1/tasks/{task['id']}/comments"
    assert (await desk.patch("/v1/me", {"name": "Pat <b>Passing</b>"}, "passing")).is_success
    (shown,) = (await desk.get(path)).json()["items"]
    who = {"id": passing.user_id, "name": "Pat <b>Passing</b>"}
    assert (shown["author"], shown["mentions"], shown["body"]) == (who, [who], "I am @Pat <b>Passing</b>")
    assert ">@Pat &lt;b&gt;Passing&lt;/b&gt;</span>" in shown["html"]

    await desk.site.services.teams.ask(UUID(desk.team), RemoveMember(UUID(passing.user_id)), by(desk["owner"].user_id))
    assert (await desk.get(path)).json()["items"] == [shown]
    problem(await desk.get(path, "passing"), 404, "not-found")


async def test_what_was_written_is_read(desk: Desk) -> None:
    task = await desk.task()
    answer = await desk.post(f"/v1/tasks/{task['id']}/comments", {"body": "so"})
    seq = {"TaskForge-Min-Seq": answer.headers["taskforge-seq"]}
    read = await desk.get(answer.headers["location"], **seq)
    assert read.json() == answer.json()
    assert int(read.headers["taskforge-seq"]) >= answer.json()["version"]
    ahead = {"TaskForge-Min-Seq": str(answer.json()["version"] + 1_000)}
    problem(await desk.get(answer.headers["location"], **ahead), 400, "ahead-of-history")


async def test_a_long_comment_is_kept_whole_and_shown(desk: Desk) -> None:
    task, body = await desk.task(), "word *mark* " * 5_000
    comment = await said(desk, task["id"], body)
    assert comment["body"] == body
    assert comment["html"].startswith("<pre>word *mark*")
    shorter = await said(desk, task["id"], "word *mark* " * 500)
    assert shorter["html"].count("<em>mark</em>") == 500
