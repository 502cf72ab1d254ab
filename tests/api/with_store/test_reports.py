"""Reports as members of a team have them: asked for, followed, downloaded, listed, and gone in time."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db import objects
from db.transaction import writing
from streams.housekeeping import tidy
from streams.operations.report import REPORT_DAYS
from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.long_work import Hands
from tests.support.printed import make, printed
from tests.support.site import frame, removed

pytestmark = pytest.mark.anyio


def reports_of(team_id: str) -> str:
    return f"/v1/teams/{team_id}/reports"


def stored(hands: Hands, report_id: str) -> list[Path]:
    """What the store has of a report."""
    return [path for path in hands.files() if report_id in str(path)]


async def test_it_is_asked_for_followed_downloaded_and_listed(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    await desk.task("Ship the board", team_id=team)
    asked = await make(hands, desk["owner"], team, {"kind": "board"})
    assert (asked.status_code, asked.headers["cache-control"]) == (202, "no-store")
    waiting = asked.json()
    assert asked.headers["location"] == f"/v1/operations/{waiting['id']}"
    assert (waiting["kind"], waiting["status"], waiting["team_id"]) == ("report", "waiting", team)
    await hands.finish()
    done = (await desk.get(asked.headers["location"])).json()
    assert (done["status"], done["progress"], done["error"]) == ("succeeded", 1.0, None)
    result = done["result"]
    pdf = (await desk.client.get(result["download_url"])).content
    assert pdf.startswith(b"%PDF-")
    assert (len(pdf), hashlib.sha256(pdf).hexdigest(), result["pages"]) == (result["bytes"], result["digest"], 1)
    kept = datetime.fromisoformat(result["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=REPORT_DAYS - 0.1) < kept < timedelta(days=REPORT_DAYS + 0.1)
    (listed,) = (await desk.get(reports_of(team))).json()["items"]
    found = (await desk.get(f"{reports_of(team)}/{result['id']}")).json()
    for shown in (listed, found):
        assert (await desk.client.get(shown.pop("download_url"))).content == pdf
        assert shown == {name: value for name, value in result.items() if name != "download_url"}


async def test_the_file_is_a_pdf_to_be_saved(desk: Desk, hands: Hands) -> None:
    result = (await printed(hands, desk["owner"], desk.team, kind="overdue")).result
    answer = await desk.client.get(result["download_url"])
    assert answer.headers["content-type"] == "application/pdf"
    key = (await desk.get(f"/v1/teams/{desk.team}")).json()["key"]
    until = datetime.fromisoformat(result["to"]).date() - timedelta(days=1)
    name = f"{key}-overdue-until-{until}.pdf"
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"
    shown = (await desk.get(f"{reports_of(desk.team)}/{result['id']}")).json()
    assert (result["from"], shown["from"]) == (None, None), "there is no beginning"


async def test_its_progress_is_said_on_the_askers_feed(desk: Desk, hands: Hands) -> None:
    async with desk.site.live(desk.team, desk["owner"]) as live:
        await frame(live, "hello")
        operation = (await make(hands, desk["owner"], desk.team, {"kind": "board"})).json()
        await hands.finish()
        while (notice := await frame(live, "notice"))["operation"]["status"] != "succeeded":
            assert notice["operation"]["kind"] == "report"
        assert notice["operation"]["id"] == operation["id"]


async def test_every_member_reads_it_and_nobody_else(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    for role in ("member", "viewer"):
        await desk.join(team, "owner", role, role)
    result = (await printed(hands, desk["viewer"], team, kind="board")).result
    path = f"{reports_of(team)}/{result['id']}"
    url = (await desk.get(path, "member")).json()["download_url"]
    assert (await desk.client.get(url)).status_code == 200
    await removed(desk.site, team, desk["owner"], desk["member"])
    problem(await desk.client.get(url), 404, "not-found")
    for asked in (path, f"{reports_of(team)}/{RANDOM}"):
        assert (await desk.get(asked, "member")).json()["code"] == (await desk.get(asked, "stranger")).json()["code"]
        problem(await desk.get(asked, "stranger"), 404, "not-found")
    problem(await desk.get(f"{reports_of(desk.other_team)}/{result['id']}", "stranger"), 404, "not-found")
    problem(await desk.get(f"{reports_of(team)}/{RANDOM}"), 404, "not-found")


async def test_who_left_meanwhile_has_none(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    location = (await make(hands, desk["member"], team, {"kind": "board"})).headers["location"]
    await removed(desk.site, team, desk["owner"], desk["member"])
    await hands.finish()
    ended = (await desk.get(location, "member")).json()
    assert (ended["status"], ended["error"]) == ("failed", "You are not a member of the team any more.")
    assert (await desk.get(reports_of(team))).json()["items"] == []


async def test_the_same_key_prints_one(desk: Desk, hands: Hands) -> None:
    team, key = await desk.new_team(), new_key()
    first, second = [
        await make(hands, desk["owner"], team, {"kind": "board"}, **{"Idempotency-Key": key}) for _ in range(2)
    ]
    assert first.json() == second.json()
    await hands.finish()
    assert len((await desk.get(reports_of(team))).json()["items"]) == 1


async def test_five_of_one_person_are_made_at_a_time(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team("admin")
    for _ in range(5):
        assert (await make(hands, desk["admin"], team, {"kind": "board"})).status_code == 202
    refused = problem(await make(hands, desk["admin"], team, {"kind": "board"}), 409, "conflict")
    assert refused["reason"] == "reports-running"
    await hands.finish()
    assert (await make(hands, desk["admin"], team, {"kind": "board"})).status_code == 202
    await hands.finish()
    pages = (await desk.get(f"{reports_of(team)}?limit=4", "admin")).json()
    rest = (await desk.get(f"{reports_of(team)}?limit=4&cursor={pages['next_cursor']}", "admin")).json()
    ids = [one["id"] for one in pages["items"] + rest["items"]]
    assert (len(ids), rest["next_cursor"], ids) == (6, None, sorted(ids, reverse=True))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "weather"}, "/kind"),
        ({}, "/kind"),
        ({"kind": "board", "page": 1}, "/page"),
        ({"kind": "activity", "from": "yesterday"}, "/from"),
        ({"kind": "activity", "to": "2026-02-30"}, "/to"),
        ({"kind": "activity", "from": "2026-02-02", "to": "2026-02-01"}, "/to"),
        ({"kind": "activity", "from": "2026-02-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "/to"),
        ({"kind": "activity", "from": "2024-01-01", "to": "2026-01-01"}, "/from"),
    ],
)
async def test_what_makes_no_period_or_kind_is_named(
    desk: Desk, hands: Hands, body: dict[str, Any], pointer: str
) -> None:
    refused = problem(await make(hands, desk["owner"], desk.team, body), 400, "bad-input")
    assert [error["pointer"] for error in refused["errors"]] == [pointer]


async def test_dates_are_the_teams_and_the_last_day_is_in_the_period(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    (await desk.patch(f"/v1/teams/{team}", {"time_zone": "Asia/Tokyo"})).raise_for_status()
    report = await printed(hands, desk["owner"], team, **{"kind": "activity", "from": "2026-02-01", "to": "2026-02-28"})
    assert (report.result["from"], report.result["to"]) == ("2026-01-31T15:00:00Z", "2026-02-28T15:00:00Z")
    assert "1 \N{EN DASH} 28 February 2026" in report.text
    assert "dates in Asia/Tokyo" in report.text


async def test_it_goes_in_time_and_its_file_with_it(desk: Desk, hands: Hands, superuser: "asyncpg.Connection") -> None:
    team = await desk.new_team()
    result = (await printed(hands, desk["owner"], team, kind="board")).result
    assert len(stored(hands, result["id"])) == 1
    async with writing(desk.site.services.pools.worker) as tx:
        await objects.expire(tx, UUID(result["id"]))
    problem(await desk.get(f"{reports_of(team)}/{result['id']}"), 404, "not-found")
    problem(await desk.client.get(result["download_url"]), 404, "not-found")
    assert (await desk.get(reports_of(team))).json()["items"] == []
    await tidy(desk.site.services.pools.worker, hands.store)
    assert stored(hands, result["id"]) == []
    assert await superuser.fetchval("select count(*) from reports where team_id = $1", UUID(team)) == 0


async def test_an_api_key_that_only_reads_lists_reports_and_makes_none(desk: Desk, hands: Hands) -> None:
    body = {"name": "reader", "scopes": ["read"]}
    key = (await desk.post("/v1/me/api-keys", body)).raise_for_status().json()["token"]
    headers = {"Authorization": f"Bearer {key}"}
    assert (await desk.client.get(reports_of(desk.team), headers=headers)).status_code == 200
    asked = await desk.client.post(reports_of(desk.team), json={"kind": "board"}, headers=headers)
    problem(asked, 403, "forbidden")
