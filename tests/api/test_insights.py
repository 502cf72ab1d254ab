"""`GET …/overdue` and `GET …/stats` over HTTP."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.support.desk import RANDOM, Desk, problem

pytestmark = pytest.mark.anyio


async def team_with(desk: Desk, *tasks: dict[str, Any]) -> str:
    team = await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    for task in tasks:
        (await desk.post("/v1/tasks", {"team_id": team, **task})).raise_for_status()
    return team


async def test_overdue_names_everybodys_first_tasks_and_those_of_nobody_apart(desk: Desk) -> None:
    owner, member = desk["owner"].user_id, desk["member"].user_id
    team = await team_with(
        desk,
        {"title": "second", "due_at": "2020-01-02T00:00:00Z", "assignee_id": owner},
        {"title": "first", "due_on": "2020-01-01", "assignee_id": owner},
        {"title": "member's", "due_on": "2020-01-01", "assignee_id": member},
        {"title": "nobody's", "due_on": "2020-01-01"},
        {"title": "done", "due_on": "2020-01-01", "status": "done"},
        {"title": "later", "due_on": "2999-01-01"},
    )
    answer = await desk.get(f"/v1/teams/{team}/overdue?tasks=1", who="member")
    report = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert report["total"] == 4
    assert datetime.fromisoformat(report["at"]) <= datetime.now(UTC)
    assert (report["unassigned"]["count"], report["unassigned"]["tasks"][0]["title"]) == (1, "nobody's")
    found = {item["assignee_id"]: item for item in report["items"]}
    assert {one: item["count"] for one, item in found.items()} == {owner: 2, member: 1}
    assert [task["title"] for task in found[owner]["tasks"]] == ["first"]
    assert report["next_cursor"] is None


async def test_overdue_comes_in_pages(desk: Desk) -> None:
    people = [desk[name].user_id for name in ("owner", "member")]
    team = await team_with(desk, *({"title": "t", "due_on": "2020-01-01", "assignee_id": one} for one in people))
    seen, cursor = list[str](), ""
    for _ in people:
        page = (await desk.get(f"/v1/teams/{team}/overdue?limit=1&tasks=0{cursor}")).json()
        seen += [item["assignee_id"] for item in page["items"]]
        assert (page["items"][0]["count"], page["items"][0]["tasks"]) == (1, [])
        cursor = "" if page["next_cursor"] is None else f"&cursor={page['next_cursor']}"
    assert not cursor
    assert seen == sorted(people)


async def test_stats_of_an_empty_team_are_twelve_weeks_of_nothing(desk: Desk) -> None:
    team = await desk.new_team()
    stats = (await desk.get(f"/v1/teams/{team}/stats")).json()
    assert len(stats["throughput"]) == 12
    assert all((week["created"], week["completed"]) == (0, 0) for week in stats["throughput"])
    assert stats["cycle_time"] == {"completed": 0, "median_seconds": None, "p90_seconds": None}
    assert [one["tasks"] for one in stats["by_status"]] == [0] * 5
    assert [one["tasks"] for one in stats["by_column"]] == [0] * 5
    assert stats["by_assignee"] == []


async def test_stats_count_what_was_made_and_done_this_week(desk: Desk) -> None:
    owner = desk["owner"].user_id
    team = await team_with(
        desk,
        {"title": "open", "assignee_id": owner},
        {"title": "done", "assignee_id": owner, "status": "done"},
        {"title": "nobody's"},
    )
    stats = (await desk.get(f"/v1/teams/{team}/stats", who="member")).json()
    assert sum(week["created"] for week in stats["throughput"]) == 3
    assert sum(week["completed"] for week in stats["throughput"]) == 1
    assert stats["cycle_time"]["completed"] == 1
    assert {one["status"]: one["tasks"] for one in stats["by_status"]}["open"] == 2
    assert sum(one["tasks"] for one in stats["by_column"]) == 3
    assert [(one["assignee_id"], one["open"], one["completed"]) for one in stats["by_assignee"]] == [
        (owner, 1, 1),
        (None, 1, 0),
    ]


async def test_a_range_is_of_the_teams_calendar(desk: Desk) -> None:
    team = await desk.new_team()
    await desk.patch(f"/v1/teams/{team}", {"time_zone": "Europe/Berlin"})
    stats = (await desk.get(f"/v1/teams/{team}/stats?from=2026-03-25&to=2026-04-01")).json()
    assert (stats["from"], stats["to"]) == ("2026-03-24T23:00:00Z", "2026-03-31T22:00:00Z")
    assert stats["time_zone"] == "Europe/Berlin"
    assert [week["week"] for week in stats["throughput"]] == ["2026-03-23", "2026-03-30"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("from=2026-03-01&to=2026-03-01", "to"),
        ("from=2026-03-02&to=2026-03-01T00:00:00Z", "to"),
        ("from=2000-01-01&to=2026-01-01", "from"),
        ("from=soon", "from"),
        ("to=2026-02-30", "to"),
        ("form=2026-01-01", "form"),
    ],
)
async def test_a_range_that_cannot_be_is_refused_by_its_name(desk: Desk, query: str, parameter: str) -> None:
    assert problem(await desk.get(f"/v1/teams/{desk.team}/stats?{query}"), 400, "bad-input")["parameter"] == parameter


@pytest.mark.parametrize("query", ["tasks=21", "tasks=-1", "limit=0", "cursor=x", "page=2"])
async def test_an_overdue_page_that_cannot_be_is_refused(desk: Desk, query: str) -> None:
    answer = problem(await desk.get(f"/v1/teams/{desk.team}/overdue?{query}"), 400, "bad-input")
    assert answer["parameter"] == query.split("=")[0]


async def test_two_years_are_allowed(desk: Desk) -> None:
    first = date(2024, 1, 1)
    path = f"/v1/teams/{desk.team}/stats?from={first}&to={first + timedelta(weeks=106)}"
    assert len((await desk.get(path)).json()["throughput"]) == 106


@pytest.mark.parametrize("name", ["overdue", "stats"])
async def test_a_foreign_team_looks_like_a_random_one(desk: Desk, name: str) -> None:
    foreign, random = [await desk.get(f"/v1/teams/{one}/{name}") for one in (desk.other_team, RANDOM)]
    assert problem(foreign, 404, "not-found") == problem(random, 404, "not-found")
