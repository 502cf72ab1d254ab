"""`GET /v1/teams/{team_id}/audit`: who changed what, without what was written."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from core.calendar import ONE_DAY
from core.redaction import DELETED_USER
from db import audit
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support.databases import superuser_url
from tests.support.desk import Desk, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
async def superuser_of_desk(
    services: DevStack, module_database: DatabaseSettings
) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(superuser_url(services, module_database))
    yield connection
    await connection.close()


LINES = {"Accept": "application/x-ndjson"}


async def page(desk: Desk, team: str, query: str = "", who: str = "owner") -> dict[str, Any]:
    answer = await desk.get(f"/v1/teams/{team}/audit{query}", who)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def a_history(desk: Desk) -> tuple[str, dict[str, Any]]:
    """A team with an admin who created, renamed and deleted a task."""
    team = await desk.new_team()
    await desk.join(team, "owner", "admin", "admin")
    task = (await desk.post("/v1/tasks", {"team_id": team, "title": "Secret words"}, "admin")).json()
    path = f"/v1/tasks/{task['id']}"
    assert (await desk.patch(path, {"title": "Other words", "estimate": 3}, "admin")).is_success
    assert (await desk.delete(f"{path}?permanent=true", "admin")).is_success
    return team, task


async def test_an_audit_says_who_changed_which_fields_and_never_what_was_in_them(desk: Desk) -> None:
    team, task = await a_history(desk)
    answer = await desk.get(f"/v1/teams/{team}/audit")
    assert "words" not in answer.text
    assert (answer.headers["taskforge-seq"], answer.headers["taskforge-epoch"]) == ("6", "1")
    items = answer.json()["items"]
    assert [item["seq"] for item in items] == [6, 5, 4, 3, 2, 1]
    assert [item["type"] for item in items] == [
        "task.deleted", "task.updated", "task.created", "member.added", "member.added", "team.updated",
    ]  # fmt: skip
    assert items[1] == {
        "seq": 5,
        "at": items[1]["at"],
        "actor": {"id": desk["admin"].user_id, "name": "Admin"},
        "actor_kind": "user",
        "via": None,
        "type": "task.updated",
        "subject": task["id"],
        "changed": ["title", "estimate"],
        "redacted": False,
    }
    assert items[0]["changed"] == items[2]["changed"] == []


async def test_pages_go_on_where_the_last_one_ended(desk: Desk) -> None:
    team, _ = await a_history(desk)
    seqs, cursor = [], ""
    while True:
        found = await page(desk, team, f"?limit=2{cursor}")
        seqs += [item["seq"] for item in found["items"]]
        if found["next_cursor"] is None:
            break
        cursor = f"&cursor={found['next_cursor']}"
    assert seqs == [6, 5, 4, 3, 2, 1]


async def test_filters_let_through_what_they_name(desk: Desk) -> None:
    team, _ = await a_history(desk)
    everything = (await page(desk, team))["items"]
    by_admin = (await page(desk, team, f"?actor={desk['admin'].user_id}"))["items"]
    assert [item["seq"] for item in by_admin] == [6, 5, 4]
    assert [item["seq"] for item in (await page(desk, team, "?type=member.added"))["items"]] == [3, 2]
    moment = next(item["at"] for item in everything if item["seq"] == 4).replace("+", "%2B")
    assert [item["seq"] for item in (await page(desk, team, f"?from={moment}"))["items"]] == [6, 5, 4]
    assert [item["seq"] for item in (await page(desk, team, f"?to={moment}"))["items"]] == [3, 2, 1]
    assert (await page(desk, team, f"?type=task.deleted&to={moment}"))["items"] == []


async def test_a_date_begins_in_the_teams_zone(desk: Desk) -> None:
    team, _ = await a_history(desk)
    assert (await desk.patch(f"/v1/teams/{team}", {"time_zone": "Pacific/Kiritimati"})).is_success
    everything = (await page(desk, team))["items"]
    for name, days in (("from", -1), ("from", 0), ("from", 1), ("to", -1), ("to", 0), ("to", 1)):
        there = datetime.fromisoformat(everything[0]["at"]).astimezone(ZoneInfo("Pacific/Kiritimati")) + days * ONE_DAY
        begins = datetime(there.year, there.month, there.day, tzinfo=ZoneInfo("Pacific/Kiritimati"))
        found = (await page(desk, team, f"?{name}={there.date()}"))["items"]
        assert found == [
            one for one in everything if (datetime.fromisoformat(one["at"]) >= begins) == (name == "from")
        ], (name, days)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("type=task.exploded", "type"), ("actor=me", "actor"), ("from=yesterday", "from"), ("to=2026-02-30", "to"),
     ("since=2026-01-01T00:00:00Z", "since"), ("from=1000-01-01T00:00:00Z", "from"), ("limit=101", "limit")],
)  # fmt: skip
async def test_a_filter_that_is_none_is_refused(desk: Desk, query: str, parameter: str) -> None:
    refused = problem(await desk.get(f"/v1/teams/{desk.team}/audit?{query}"), 400, "bad-input")
    assert refused["parameter"] == parameter


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [("admin", 200, ""), ("member", 403, "forbidden"), ("viewer", 403, "forbidden"), ("stranger", 404, "not-found")],
)
async def test_only_admins_read_it(desk: Desk, who: str, status: int, code: str) -> None:
    for headers in ({}, LINES):
        answer = await desk.get(f"/v1/teams/{desk.team}/audit", who, **headers)
        assert answer.status_code == status
        if code:
            problem(answer, status, code)


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/jsonl"])
async def test_the_download_has_everything_oldest_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, media_type: str
) -> None:
    monkeypatch.setattr(audit, "PAGE", 2)
    team, _ = await a_history(desk)
    answer = await desk.get(f"/v1/teams/{team}/audit", Accept=media_type)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == f'attachment; filename="audit-{team}.jsonl"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == list(reversed((await page(desk, team))["items"]))
    only = await desk.get(f"/v1/teams/{team}/audit?type=member.added", Accept=media_type)
    assert [json.loads(line)["seq"] for line in only.text.splitlines()] == [2, 3]


async def test_who_has_left_keeps_a_name_and_who_is_unknown_has_none(
    desk: Desk, superuser_of_desk: "asyncpg.Connection[Any]"
) -> None:
    team, _ = await a_history(desk)
    assert (await desk.delete(f"/v1/teams/{team}/members/{desk['admin'].user_id}")).is_success
    names = {item["actor"]["name"] for item in (await page(desk, team, f"?actor={desk['admin'].user_id}"))["items"]}
    assert names == {"Admin"}
    await superuser_of_desk.execute("delete from former_members where team_id = $1", UUID(team))
    names = {item["actor"]["name"] for item in (await page(desk, team, f"?actor={desk['admin'].user_id}"))["items"]}
    assert names == {DELETED_USER}
