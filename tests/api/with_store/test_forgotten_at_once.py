"""What is deleted for good is gone for every reader once that is acknowledged: no worker has redacted anything here."""

import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids
from msgspec import Struct

from core.redaction import DELETED_TASK, redacted
from db.notices.mails import mail_of
from db.past.making import SnapshotMaker
from db.redactions_due import clear_due
from db.transaction import reading, writing
from db.webhooks import claiming
from tests.support.desk import Desk, new_key, problem
from tests.support.long_work import Hands
from tests.support.printed import printed
from tests.support.site import frame

pytestmark = pytest.mark.anyio

TASK, COMMENT = "canary-of-the-task", "canary-of-the-comment"


class Said(Struct):
    """A team in which something was written, about two tasks; answers to it are kept under keys."""

    team: str
    task: dict[str, Any]
    other: str
    comment: dict[str, Any]
    asked: list[tuple[str, str, Any, dict[str, str]]]

    async def again(self, desk: Desk) -> list[Any]:
        """What those answers say now; one that is forgotten has no shape of its operation any more."""
        client, mine = desk.client, desk["owner"].headers
        return [
            await client.request(
                method, path, json=body, headers={**mine, **headers}, extensions={"taskforge.raw": True}
            )
            for method, path, body, headers in self.asked
        ]


async def said(desk: Desk) -> Said:
    team, asked = await desk.new_team(), []

    async def ask(method: str, path: str, body: Any, **headers: str) -> Any:
        headers["Idempotency-Key"] = new_key()
        asked.append((method, path, body, headers))
        return await desk.client.request(method, path, json=body, headers={**desk["owner"].headers, **headers})

    task = (await ask("POST", "/v1/tasks", {"team_id": team, "title": TASK, "description": TASK})).json()
    path = f"/v1/tasks/{task['id']}"
    await ask("PATCH", path, {"title": f"{TASK} again"})
    await ask("PATCH", path, {"title": f"{TASK} twice"}, **{"If-Match": f'"{task["version"]}"'})
    comment = (await ask("POST", f"{path}/comments", {"body": COMMENT})).json()
    await ask("PATCH", f"/v1/comments/{comment['id']}", {"body": f"{COMMENT} again"})
    await ask("POST", "/v1/tasks/batch", {"team_id": team, "operations": [{"op": "create", "title": TASK}]})
    (other,) = (await desk.get(f"/v1/tasks?team_id={team}&sort=-created_at&limit=1")).json()["items"]
    return Said(team, task, other["id"], comment, asked)


async def delete_task(desk: Desk, there: Said) -> None:
    for task_id in (there.other, there.task["id"]):
        answer = await desk.delete(f"/v1/tasks/{task_id}?permanent=true")
        assert answer.status_code == 204, answer.text


async def delete_comment(desk: Desk, there: Said) -> None:
    answer = await desk.delete(f"/v1/comments/{there.comment['id']}")
    assert answer.status_code == 204, answer.text


async def events(desk: Desk, team: str) -> Any:
    return await desk.get(f"/v1/teams/{team}/events?limit=100")


async def test_pages_of_events_say_what_a_worker_would_leave(desk: Desk, superuser: asyncpg.Connection) -> None:
    there = await said(desk)
    before = {one["seq"]: one for one in (await events(desk, there.team)).json()["items"]}
    await delete_task(desk, there)
    page = await events(desk, there.team)
    assert TASK not in page.text
    assert COMMENT not in page.text
    about = [one for one in page.json()["items"] if one["subject"] == there.task["id"]]
    types = ["task.created", "task.updated", "comment.added", "comment.edited", "task.deleted"]
    assert [one["type"] for one in about] == types
    for shown in about[:-1]:
        kept = await superuser.fetchval(PAYLOAD, UUID(there.team), shown["seq"])
        assert TASK in kept, "nobody has redacted it"
        left = redacted(shown["type"], kept.encode(), {UUID(there.task["id"])})
        assert left is not None
        assert shown["data"] == json.loads(left)
        assert shown["redacted"] is True
        assert shown["digest"], "the chain of a checkpoint goes on"
        was = before[shown["seq"]]
        assert {name: shown[name] for name in was.keys() - {"data", "salt"}} == {
            name: value for name, value in was.items() if name not in {"data", "salt"}
        }


async def test_a_deleted_comment_goes_and_its_task_stays(desk: Desk) -> None:
    there = await said(desk)
    await delete_comment(desk, there)
    page = (await events(desk, there.team)).text
    assert COMMENT not in page
    assert f"{TASK} again" in page
    activity = await desk.get(f"/v1/tasks/{there.task['id']}/activity")
    assert COMMENT not in activity.text
    assert TASK in activity.text
    forgotten = ["comment.deleted", "comment.edited", "comment.added"]
    assert [one["type"] for one in activity.json()["items"] if one["redacted"]] == forgotten
    problem(await desk.get(f"/v1/comments/{there.comment['id']}/edits"), 404, "not-found")


async def test_the_activity_of_a_task_that_is_gone_says_nothing_of_it(desk: Desk) -> None:
    there = await said(desk)
    await delete_task(desk, there)
    for path in (f"/v1/tasks/{there.task['id']}/activity", f"/v1/teams/{there.team}/audit"):
        shown = await desk.get(path)
        assert TASK not in shown.text
        assert COMMENT not in shown.text


@pytest.mark.parametrize("how", ["page of the journal", "buffer of the process"])
async def test_feeds_replay_it_as_redacted(desk: Desk, how: str) -> None:
    there = await said(desk)
    async with desk.site.live(there.team, desk["owner"]) as reader:
        await frame(reader, "hello")
        if how == "buffer of the process":
            await desk.patch(f"/v1/tasks/{there.task['id']}", {"description": f"{TASK} in the buffer"})
            await desk.post(f"/v1/tasks/{there.task['id']}/comments", {"body": f"{COMMENT} in the buffer"})
        await delete_task(desk, there)
        head = (await desk.get(f"/v1/teams/{there.team}/board")).json()["seq"]
        async with desk.site.live(there.team, desk["owner"], "?after=1:1") as late:
            await frame(late, "hello")
            seen = [await frame(late, "event") for _ in range(head - 1)]
        assert [one["seq"] for one in seen] == list(range(2, head + 1))
        assert TASK not in json.dumps(seen)
        assert COMMENT not in json.dumps(seen)
        async with desk.site.stream(there.team, desk["owner"], **{"Last-Event-ID": "1:1"}) as stream:
            replayed = [await stream.next() for _ in range(head - 1)]
        assert TASK not in json.dumps(replayed)
        assert COMMENT not in json.dumps(replayed)


async def test_who_has_not_got_it_yet_never_gets_it_as_it_was(desk: Desk) -> None:
    """A reader whose events wait in memory while the task is deleted reads them from the journal instead."""
    there = await said(desk)
    hub, user = desk.site.services.hub, UUID(desk["owner"].user_id)
    with await hub.subscribe(UUID(there.team), user) as reader:
        await desk.patch(f"/v1/tasks/{there.task['id']}", {"title": f"{TASK} unsent"})
        await delete_comment(desk, there)
        await delete_task(desk, there)
        got: list[Any] = []
        while len(got) < 4:
            got += [one for one in await reader.next() if hasattr(one, "cloud_event")]
    assert [one.type for one in got] == ["task.updated", "comment.deleted", "task.deleted", "task.deleted"]
    assert TASK not in b"".join(one.cloud_event for one in got).decode()


@pytest.mark.parametrize("snapshot", [False, True])
async def test_boards_of_the_past_have_it_without_its_text(desk: Desk, hands: Hands, snapshot: bool) -> None:
    there = await said(desk)
    path = f"/v1/teams/{there.team}/board?as_of={there.comment['version']}"
    assert TASK in (await desk.get(path)).text
    if snapshot:
        maker = SnapshotMaker(desk.site.services.pools.worker, hands.store, every=there.comment["version"])
        assert await maker.make_due(UUID(there.team), there.comment["version"]) == 1
    await delete_task(desk, there)
    shown = await desk.get(path)
    assert TASK not in shown.text
    (task,) = [one for column in shown.json()["columns"] for one in column["tasks"]]
    assert (task["id"], task["title"], task["description"]) == (there.task["id"], DELETED_TASK, "")


async def test_stored_answers_are_replayed_without_it(desk: Desk) -> None:
    there = await said(desk)
    first = await there.again(desk)
    assert all(TASK in one.text or COMMENT in one.text for one in first)
    await delete_comment(desk, there)
    again = await there.again(desk)
    assert [one.status_code for one in again] == [one.status_code for one in first]
    assert not any(COMMENT in one.text for one in again)
    assert [TASK in one.text for one in again] == [True, True, False, False, False, True]
    assert again[3].json() == first[3].json() | {"body": "", "html": "", "mentions": []}
    await delete_task(desk, there)
    again = await there.again(desk)
    assert [one.status_code for one in again] == [one.status_code for one in first]
    assert all("idempotent-replayed" in one.headers for one in again)
    assert not any(TASK in one.text or COMMENT in one.text for one in again)
    assert again[0].json() == {"redacted": True}
    assert again[2].json()["code"] == first[2].json()["code"] == "stale-version"


async def test_undo_gives_nothing_of_it_back(desk: Desk) -> None:
    there = await said(desk)
    await delete_task(desk, there)
    answer = await desk.post(f"/v1/tasks/{there.task['id']}/undo", {})
    assert problem(answer, 409, "conflict")["reason"] == "undo-redacted"
    assert TASK not in answer.text


async def notified(desk: Desk, there: Said, mail_id: UUID) -> None:
    await desk.site.services.pools.worker.execute(
        "insert into notifications"
        " (user_id, id, team_id, task_id, kind, event_id, created_at, data, actor_name, mail_id, in_app)"
        " values ($1, $2, $3, $4, 'task.assigned', $5, now(), $6, 'Grace', $7, true)",
        UUID(desk["owner"].user_id),
        uuids.uuid7(),
        UUID(there.team),
        UUID(there.task["id"]),
        str(mail_id),
        json.dumps({"key": there.task["key"], "title": TASK}).encode(),
        mail_id,
    )


async def test_notifications_and_mails_that_have_not_left_name_it_no_more(
    desk: Desk, superuser: asyncpg.Connection
) -> None:
    there, mail_id = await said(desk), uuids.uuid7()
    await notified(desk, there, mail_id)
    await superuser.execute("update users set email_verified_at = now() where id = $1", UUID(desk["owner"].user_id))
    inbox = "/v1/me/notifications?limit=1"
    assert TASK in (await desk.get(inbox)).text
    await delete_task(desk, there)
    shown = await desk.get(inbox)
    assert TASK not in shown.text
    assert shown.json()["items"][0]["data"] == {"key": there.task["key"], "title": DELETED_TASK}
    async with reading(desk.site.services.pools.worker, None) as tx:
        assert await mail_of(tx, mail_id) is None, "a task that is gone is nobody's"


async def test_reports_that_may_show_it_are_gone(desk: Desk, hands: Hands) -> None:
    there = await said(desk)
    result = (await printed(hands, desk["owner"], there.team, kind="board")).result
    assert (await desk.client.get(result["download_url"])).status_code == 200
    await delete_comment(desk, there)
    path = f"/v1/teams/{there.team}/reports"
    problem(await desk.client.get(result["download_url"]), 404, "not-found")
    problem(await desk.get(f"{path}/{result['id']}"), 404, "not-found")
    assert (await desk.get(path)).json()["items"] == []


async def test_bootstraps_that_may_have_it_are_gone(desk: Desk, hands: Hands) -> None:
    there = await said(desk)
    asked = await desk.post(f"/v1/teams/{there.team}/bootstraps", {})
    await hands.finish()
    operation = (await desk.get(asked.headers["location"])).json()
    address = operation["result"]["download_url"]
    assert TASK in (await desk.client.get(address)).text
    await delete_comment(desk, there)
    problem(await desk.client.get(address), 404, "not-found")
    assert (await desk.get(asked.headers["location"])).json()["result"]["download_url"] is None


async def test_an_export_has_it_redacted(desk: Desk, hands: Hands) -> None:
    there = await said(desk)
    await delete_comment(desk, there)
    of_task = [one for one in (await hands.archive(desk["owner"]))["events.json"] if one["subject"] == there.task["id"]]
    assert COMMENT not in json.dumps(of_task)
    assert TASK in json.dumps(of_task)
    await delete_task(desk, there)
    of_task = [one for one in (await hands.archive(desk["owner"]))["events.json"] if one["subject"] == there.task["id"]]
    assert TASK not in json.dumps(of_task)
    assert {"redacted": True} in [one["data"] for one in of_task]


async def test_webhooks_send_it_redacted_and_their_log_quotes_nothing(
    desk: Desk, superuser: asyncpg.Connection
) -> None:
    there = await said(desk)
    body = {"team_id": there.team, "url": "https://hooks.example.com/in"}
    hook = (await desk.post("/v1/webhooks/subscriptions", body)).json()
    delivery_id = uuids.uuid7()
    await superuser.execute(DELIVERY, UUID(there.team), delivery_id, UUID(hook["id"]), UUID(there.task["id"]))
    await superuser.execute("update webhook_subscriptions set due_at = now() where id = $1", UUID(hook["id"]))
    await superuser.execute(ATTEMPT, UUID(there.team), delivery_id, f"you sent {TASK}")
    path = f"/v1/webhooks/deliveries/{delivery_id}"
    assert TASK in (await desk.get(path)).text
    await delete_task(desk, there)
    assert (await desk.get(path)).json()["attempts"][0]["response"] == ""
    async with writing(desk.site.services.pools.worker) as tx:
        (claimed,) = await claiming.claim(tx, failing=False, limit=10, per_endpoint=5, lease=30.0)
    assert claimed.row is not None
    assert claimed.row.redacted
    assert TASK not in claimed.row.payload.decode()


async def test_what_is_forgotten_is_not_due_any_more(desk: Desk, superuser: asyncpg.Connection) -> None:
    there = await said(desk)
    await delete_comment(desk, there)
    await delete_task(desk, there)
    team, task, comment = UUID(there.team), UUID(there.task["id"]), UUID(there.comment["id"])
    due = "select subject_id from redactions_due where team_id = $1 and task_id = $2"
    assert {row[0] for row in await superuser.fetch(due, team, task)} == {task, comment}
    async with writing(desk.site.services.pools.worker) as tx:
        await clear_due(tx, team, task, comment)
    assert {row[0] for row in await superuser.fetch(due, team, task)} == {task}
    async with writing(desk.site.services.pools.worker) as tx:
        await clear_due(tx, team, task, task)
    assert await superuser.fetch(due, team, task) == []


PAYLOAD = "select payload from task_events where team_id = $1 and seq = $2"
DELIVERY = """
insert into webhook_deliveries (
    team_id, id, subscription_id, event_type, epoch, seq, prev_seq, task_id, happened_at, status, attempts
)
select e.team_id, $2, $3, e.type, 1, e.seq, 0, $4, e.at, 'pending', 1 from task_events e
where e.team_id = $1 and e.subject_id = $4 order by e.seq limit 1
"""
ATTEMPT = """
insert into webhook_attempts (team_id, delivery_id, number, at, status, duration_ms, response)
values ($1, $2, 1, now(), 500, 5, $3)
"""
