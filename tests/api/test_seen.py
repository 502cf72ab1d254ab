"""What a member has looked at: noted for them alone, never back, never beyond, and what others changed since."""

from typing import Any

import pytest

from db.team_seen import LOOKED_AT
from tests.support.desk import Desk, new_key, problem

pytestmark = pytest.mark.anyio


async def put(desk: Desk, team: str, seq: Any, who: str = "owner", **headers: str) -> Any:
    return await desk.ask("PUT", f"/v1/teams/{team}/seen", who, json={"seq": seq}, headers=headers)


async def shown(desk: Desk, team: str, who: str = "owner") -> tuple[int, int]:
    """(seen_seq, unread) as the team and the list of teams show them, which is the same."""
    one = (await desk.get(f"/v1/teams/{team}", who)).json()
    listed = next(item for item in (await desk.get("/v1/teams", who)).json()["items"] if item["id"] == team)
    assert one == listed
    return one["seen_seq"], one["unread"]


async def team_of_two(desk: Desk) -> str:
    team = await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    return team


async def make(desk: Desk, team: str, who: str) -> dict[str, Any]:
    task: dict[str, Any] = (await desk.post("/v1/tasks", {"team_id": team, "title": "A task"}, who)).json()
    return task


async def test_tasks_that_others_changed_since_are_counted_each_once(desk: Desk) -> None:
    team = await team_of_two(desk)
    mine, theirs = await make(desk, team, "owner"), await make(desk, team, "member")
    await desk.patch(f"/v1/tasks/{theirs['id']}", {"title": "Again"}, "member")
    assert await shown(desk, team) == (0, 1)
    assert await shown(desk, team, "member") == (0, 1)
    await desk.patch(f"/v1/tasks/{mine['id']}", {"title": "By somebody else"}, "member")
    assert await shown(desk, team) == (0, 2)
    answer = await put(desk, team, theirs["version"])
    assert (answer.status_code, answer.json()) == (200, {"seen_seq": theirs["version"], "unread": 2})
    seq = int(answer.headers["taskforge-seq"])
    assert (await put(desk, team, seq)).json() == {"seen_seq": seq, "unread": 0}
    assert await shown(desk, team) == (seq, 0)
    assert await shown(desk, team, "member") == (0, 1), "what one has seen is nobody else's"
    for _ in range(2):
        await desk.post(f"/v1/tasks/{mine['id']}/comments", {"body": "And?"}, "member")
    assert await shown(desk, team) == (seq, 1), "a comment changes its task"
    seq += 2
    await put(desk, team, seq)
    await desk.delete(f"/v1/tasks/{theirs['id']}?permanent=true")
    assert (await shown(desk, team))[1] == 0, "one's own changes are no news"
    assert (await shown(desk, team, "member"))[1] == 2


async def test_it_never_goes_back_and_never_beyond_and_is_no_event(desk: Desk) -> None:
    team = await team_of_two(desk)
    task = await make(desk, team, "member")
    before = (await desk.get(f"/v1/teams/{team}/events?after=0")).json()
    for place in (task["version"], 1, f"1:{task['version']}", "1", 0):
        assert (await put(desk, team, place)).json()["seen_seq"] == task["version"]
    problem(await put(desk, team, task["version"] + 1), 400, "ahead-of-history")
    problem(await put(desk, team, f"2:{task['version']}"), 400, "ahead-of-history")
    for wrong in (-1, "x", None, 2**63, str(2**63), "0:1", 1.5):
        problem(await put(desk, team, wrong), 400, "bad-input")
    assert (await desk.get(f"/v1/teams/{team}/events?after=0")).json() == before


async def test_a_team_that_has_not_changed_is_shown_anew_once_it_was_looked_at(desk: Desk) -> None:
    team = await team_of_two(desk)
    task = await make(desk, team, "member")
    first = await desk.get(f"/v1/teams/{team}")
    known = {"If-None-Match": first.headers["etag"]}
    assert (await desk.get(f"/v1/teams/{team}", **known)).status_code == 304
    await put(desk, team, task["version"])
    assert (await desk.get(f"/v1/teams/{team}", **known)).json()["unread"] == 0


async def test_a_key_answers_again_what_it_answered(desk: Desk) -> None:
    team = await team_of_two(desk)
    task = await make(desk, team, "member")
    key = {"Idempotency-Key": new_key()}
    first, again = [await put(desk, team, task["version"], **key) for _ in range(2)]
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert (await put(desk, team, 1, **key)).status_code == 422


async def test_of_a_long_absence_only_the_newest_events_are_looked_through(desk: Desk) -> None:
    team = await team_of_two(desk)
    await make(desk, team, "member")
    task = await make(desk, team, "member")
    for first in range(0, LOOKED_AT, 100):
        operations = [{"op": "update", "id": task["id"], "estimate": first + number} for number in range(1, 101)]
        await desk.post("/v1/tasks/batch", {"team_id": team, "operations": operations}, "member")
    assert await shown(desk, team) == (0, 1)


async def test_whoever_leaves_and_comes_back_has_seen_nothing(desk: Desk) -> None:
    team = await team_of_two(desk)
    await put(desk, team, 3, "member")
    await desk.delete(f"/v1/teams/{team}/members/{desk['member'].user_id}")
    problem(await put(desk, team, 3, "member"), 404, "not-found")
    await desk.join(team, "owner", "member", "member")
    assert (await shown(desk, team, "member"))[0] == 0


async def test_tasks_that_have_changed_since_a_place_are_listed(desk: Desk) -> None:
    team = await team_of_two(desk)
    first, second = await make(desk, team, "owner"), await make(desk, team, "owner")
    path = f"/v1/tasks?team_id={team}&sort=number&changed_since_seq="

    async def listed(place: object, more: str = "") -> list[str]:
        return [task["id"] for task in (await desk.get(f"{path}{place}{more}")).json()["items"]]

    assert await listed(0) == [first["id"], second["id"]]
    assert await listed(first["version"]) == await listed(f"1:{first['version']}") == [second["id"]]
    assert await listed(second["version"]) == []
    problem(await desk.get(f"{path}{second['version'] + 1}"), 400, "ahead-of-history")
    problem(await desk.get(f"{path}2:1"), 400, "ahead-of-history")
    problem(await desk.get("/v1/tasks?changed_since_seq=1"), 400, "bad-input")
    await desk.patch(f"/v1/tasks/{first['id']}", {"title": "Changed"}, "member")
    assert await listed(second["version"]) == [first["id"]]
    await desk.delete(f"/v1/tasks/{first['id']}", "member")
    assert await listed(second["version"]) == []
    assert await listed(second["version"], "&archived=true") == [first["id"]]
