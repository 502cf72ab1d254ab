"""Boards of the past over HTTP: what the board was at each place, for members, and never of what is gone for good."""

from typing import Any

import pytest

from tests.support.desk import RANDOM, Desk, problem

pytestmark = pytest.mark.anyio


async def board(desk: Desk, team: str, as_of: object = None, who: str = "owner", **headers: str) -> Any:
    query = "" if as_of is None else f"?as_of={as_of}"
    return await desk.get(f"/v1/teams/{team}/board{query}", who, **headers)


async def busy(desk: Desk, team: str) -> dict[int, Any]:
    """A team in which much happens; its board at every seq at which somebody looked."""
    seen: dict[int, Any] = {}

    async def look() -> None:
        now = (await board(desk, team)).json()
        seen[now["seq"]] = now

    await look()
    tasks = []
    for number in range(6):
        made = await desk.post("/v1/tasks", {"team_id": team, "title": f"Task {number}", "estimate": number})
        tasks.append(made.json())
        await look()
    for task in tasks[:4]:
        await desk.post(f"/v1/tasks/{task['id']}/move", {"status": "done"})
        await look()
        await desk.patch(f"/v1/tasks/{task['id']}", {"title": f"Later {task['title']}", "parent_id": tasks[5]["id"]})
        await look()
    await desk.delete(f"/v1/tasks/{tasks[0]['id']}")
    await look()
    await desk.post(f"/v1/tasks/{tasks[0]['id']}/restore")
    await look()
    await desk.post(f"/v1/tasks/{tasks[1]['id']}/move", {"before_id": tasks[0]["id"]})
    await look()
    return seen


async def test_at_every_place_it_is_the_board_that_was_there(desk: Desk) -> None:
    team = await desk.new_team()
    seen = await busy(desk, team)
    for seq, was in seen.items():
        for place in (seq, f"1:{seq}"):
            answer = await board(desk, team, place)
            assert answer.status_code == 200, answer.text
            assert answer.json() == was
    assert answer.headers["taskforge-seq"] == str(max(seen)), "true at the team's newest event"


async def test_before_its_first_event_a_team_has_an_empty_board(desk: Desk) -> None:
    empty = (await board(desk, desk.team, 0)).json()
    assert (empty["seq"], empty["epoch"]) == (0, 1)
    assert not [task for column in empty["columns"] for task in column["tasks"]]


async def test_places_that_no_team_had_are_refused(desk: Desk) -> None:
    seq = (await board(desk, desk.team)).json()["seq"]
    for ahead in (seq + 1, f"1:{seq + 1}", "2:1", 2**63 - 1):
        problem(await board(desk, desk.team, ahead), 400, "ahead-of-history")
    for wrong in ("x", "-1", "", "0:1", "1:2:3", 2**63):
        assert problem(await board(desk, desk.team, wrong), 400, "bad-input")["parameter"] == "as_of"
    both = await desk.get(f"/v1/teams/{desk.team}/board?as_of=1&per_column=3")
    assert problem(both, 400, "bad-input")["parameter"] == "per_column"


async def test_viewers_see_it_and_strangers_see_nothing(desk: Desk) -> None:
    assert (await board(desk, desk.team, 2, "viewer")).status_code == 200
    foreign = problem(await board(desk, desk.team, 2, "stranger"), 404, "not-found")
    assert foreign == problem(await board(desk, RANDOM, 2, "stranger"), 404, "not-found")


async def test_whoever_has_it_gets_it_again_only_when_something_happened(desk: Desk) -> None:
    team = await desk.new_team()
    await desk.post("/v1/tasks", {"team_id": team, "title": "One"})
    first = await board(desk, team, 2)
    known = {"If-None-Match": first.headers["etag"]}
    assert (await board(desk, team, 2, **known)).status_code == 304
    assert (await board(desk, team, 3, **known)).status_code == 200
    await desk.post("/v1/tasks", {"team_id": team, "title": "Two"})
    again = await board(desk, team, 2, **known)
    assert (again.status_code, again.content) == (200, first.content)
