"""Dates and times in lists over HTTP: both forms of every filter, what is overdue, and ETags that know the time."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from core.query import TIMES
from db.settings import DatabaseSettings, ObjectSettings
from tests.support.desk import Desk, problem
from tests.support.site import serving, settings_for

pytestmark = pytest.mark.anyio

BERLIN = "Europe/Berlin"
MIDNIGHT = datetime(2026, 3, 29, 22, 0, tzinfo=UTC)
"""The first moment of March 30 in Berlin, after a night of 23 hours."""
SECOND = timedelta(seconds=1)


async def team_with(desk: Desk, *tasks: dict[str, Any]) -> str:
    team = await desk.new_team()
    (await desk.patch(f"/v1/teams/{team}", {"time_zone": BERLIN})).raise_for_status()
    for task in tasks:
        (await desk.post("/v1/tasks", {"team_id": team, **task})).raise_for_status()
    return team


async def titles(desk: Desk, query: str) -> list[str]:
    answer = await desk.get(f"/v1/tasks?{query}")
    assert answer.status_code == 200, answer.text
    return [task["title"] for task in answer.json()["items"]]


def later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the wall clock of the requests."""
    clock: Any = desk.site.services.clock

    def go(moment: datetime) -> None:
        monkeypatch.setattr(type(clock), "now", lambda _: moment)

    return go


async def test_a_date_is_compared_with_dates_and_an_instant_with_instants(desk: Desk) -> None:
    team = await team_with(
        desk,
        {"title": "on 29", "due_on": "2026-03-29"},
        {"title": "at 29 late", "due_at": "2026-03-29T21:59:59Z"},
        {"title": "at 30", "due_at": "2026-03-29T22:00:00Z"},
        {"title": "on 30", "due_on": "2026-03-30"},
        {"title": "never"},
    )
    path = f"team_id={team}&sort=due_at"
    assert await titles(desk, path) == ["at 29 late", "on 29", "at 30", "on 30", "never"]
    assert await titles(desk, f"{path}&due_before=2026-03-30") == ["at 29 late", "on 29"]
    assert await titles(desk, f"{path}&due_after=2026-03-30") == ["at 30", "on 30"]
    assert await titles(desk, f"{path}&due_on=2026-03-29") == ["at 29 late", "on 29"]
    assert await titles(desk, f"{path}&due_before=2026-03-29T21:59:59Z") == []
    assert await titles(desk, f"{path}&due_before=2026-03-30T00:00:00%2B02:00") == ["at 29 late", "on 29"]
    assert await titles(desk, f"{path}&due_on=2026-03-29T22:00:00Z") == ["at 30"]
    assert await titles(desk, f"sort=due_at&due_on=2026-03-30&limit=2&team_id={team}") == ["at 30", "on 30"]


async def test_pages_by_due_date_join_without_a_gap_also_at_the_end_of_time(desk: Desk) -> None:
    team = await team_with(
        desk,
        {"title": "1", "due_on": "1900-01-01"},
        {"title": "2", "due_at": "1900-01-01T23:30:00Z"},
        {"title": "3", "due_on": "9000-12-31"},
        {"title": "4"},
    )
    await desk.patch(f"/v1/teams/{team}", {"time_zone": "America/New_York"})
    seen, cursor = list[str](), ""
    while len(seen) < 4:
        page = (await desk.get(f"/v1/tasks?team_id={team}&sort=due_at&limit=1{cursor and '&cursor=' + cursor}")).json()
        seen += [task["title"] for task in page["items"]]
        cursor = page["next_cursor"] or ""
    assert seen == ["2", "1", "3", "4"]


async def test_a_team_that_moves_to_another_zone_has_its_dates_there(desk: Desk) -> None:
    team = await team_with(
        desk, {"title": "on", "due_on": "2026-03-29"}, {"title": "at", "due_at": "2026-03-29T23:00:00Z"}
    )
    assert await titles(desk, f"team_id={team}&sort=due_at") == ["on", "at"]
    await desk.patch(f"/v1/teams/{team}", {"time_zone": "America/New_York"})
    assert await titles(desk, f"team_id={team}&sort=due_at") == ["at", "on"]
    assert await titles(desk, f"team_id={team}&sort=due_at&due_on=2026-03-29") == ["at", "on"]


async def test_overdue_begins_with_the_next_day_and_its_etag_knows(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    team = await team_with(
        desk,
        {"title": "on", "due_on": "2026-03-29"},
        {"title": "done", "due_on": "2026-03-29", "status": "done"},
        {"title": "at", "due_at": "2026-03-29T12:00:00Z"},
        {"title": "never"},
    )
    path, go = f"/v1/tasks?team_id={team}&sort=due_at&overdue=true", later(desk, monkeypatch)
    go(MIDNIGHT - SECOND)
    before = await desk.get(path)
    assert [task["title"] for task in before.json()["items"]] == ["at"]
    go(MIDNIGHT - SECOND / 2)
    assert (await desk.get(path, **{"If-None-Match": before.headers["etag"]})).status_code == 304
    go(MIDNIGHT)
    after = await desk.get(path, **{"If-None-Match": before.headers["etag"]})
    assert [task["title"] for task in after.json()["items"]] == ["at", "on"]
    assert await titles(desk, f"team_id={team}&overdue=false&sort=title") == ["done", "never"]
    of_that_day = "due_after=2026-03-29&due_before=2026-03-30"
    assert await titles(desk, f"team_id={team}&overdue=true&sort=due_at&{of_that_day}") == ["at", "on"]


async def test_what_is_archived_is_never_overdue(desk: Desk) -> None:
    team = await team_with(desk, {"title": "old", "due_on": "2001-01-01"})
    (task,) = (await desk.get(f"/v1/tasks?team_id={team}&overdue=true")).json()["items"]
    await desk.delete(f"/v1/tasks/{task['id']}")
    assert await titles(desk, f"team_id={team}&overdue=true&archived=true") == []
    assert await titles(desk, f"team_id={team}&overdue=false&archived=true") == ["old"]


async def test_created_updated_and_completed_take_both_forms(desk: Desk) -> None:
    team = await team_with(desk, {"title": "new"}, {"title": "done", "status": "done"})
    (task,) = (await desk.get(f"/v1/tasks?team_id={team}&status=done")).json()["items"]
    day = datetime.fromisoformat(task["completed_at"]).date()
    for name, found in (("created", ["done", "new"]), ("updated", ["done", "new"]), ("completed", ["done"])):
        path = f"team_id={team}&sort=title&{name}"
        assert await titles(desk, f"{path}_after={day - timedelta(days=1)}") == found
        assert await titles(desk, f"{path}_after={day + timedelta(days=2)}") == []
        assert await titles(desk, f"{path}_before={day + timedelta(days=2)}") == found
        moment = task[f"{name}_at"].replace("+00:00", "Z")
        assert "done" in await titles(desk, f"{path}_after={moment}")
        assert "done" not in await titles(desk, f"{path}_before={moment}")


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    "value",
    [
        "now",
        "x" * 50,
        "tomorrow",
        "yesterday",
        "2026-02-30",
        "2026-3-01",
        "2026-01-01T00:00:00",
        "1899-12-31",
        "9001-01-01",
        "20260101T0",
    ],
)
async def test_what_is_neither_a_date_nor_an_instant_is_refused_by_its_name(desk: Desk, name: str, value: str) -> None:
    document = problem(await desk.get(f"/v1/tasks?{name}={value}"), 400, "bad-input")
    assert document["parameter"] == name
    assert "takes a date (2026-03-01) or a time with its offset" in document["detail"]
    assert "%2B" not in document["detail"]


async def test_a_plus_that_became_a_blank_is_explained(desk: Desk) -> None:
    path = "/v1/tasks?due_after=2026-03-01T12:00:00"
    assert "written %2B" in problem(await desk.get(f"{path}+02:00"), 400, "bad-input")["detail"]
    assert (await desk.get(f"{path}%2B02:00")).status_code == 200


async def test_overdue_is_true_or_false(desk: Desk) -> None:
    assert problem(await desk.get("/v1/tasks?overdue=maybe"), 400, "bad-input")["parameter"] == "overdue"


@pytest.fixture
async def large(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Desk]:
    settings = structs.replace(settings_for(database, valkey_url), objects=ObjectSettings(url="memory:"))
    async with serving(settings) as site:
        yield await Desk.open(site)


async def test_a_large_board_finds_what_is_overdue_without_an_order_at_hand(large: Desk) -> None:
    for start in range(0, 1_100, 100):
        operations = [{"op": "create", "title": f"{n:04}", "due_on": "2001-01-01"} for n in range(start, start + 100)]
        (await large.post("/v1/tasks/batch", {"team_id": large.team, "operations": operations})).raise_for_status()
    path = f"/v1/tasks?team_id={large.team}&overdue=true&sort=title&limit=2"
    first = await large.get(path)
    assert [task["title"] for task in first.json()["items"]] == ["0000", "0001"]
    again = await large.get(path)
    assert again.content == first.content
    assert (await large.get(path, **{"If-None-Match": again.headers["etag"]})).status_code == 304
