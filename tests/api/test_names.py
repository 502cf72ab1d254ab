"""A new name of a user's reaches every team, once each, whatever is away at that moment."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from actors.system import TeamSystem
from core.commands import RenameMember
from core.errors import StorageUnavailable
from db import readmodel
from tests.support.desk import Desk, new_key

pytestmark = pytest.mark.anyio


async def shown(desk: Desk, team: str, who: str) -> str:
    """The name under which the team shows somebody."""
    members = (await desk.get(f"/v1/teams/{team}/members", who)).json()["items"]
    (name,) = (member["name"] for member in members if member["user_id"] == desk[who].user_id)
    return str(name)


async def renamings(desk: Desk, team: str, who: str) -> list[dict[str, Any]]:
    """The team's events about somebody's name."""
    events, after = [], 0
    while page := (await desk.get(f"/v1/teams/{team}/events?after={after}&limit=100", who)).json()["items"]:
        events += page
        after = page[-1]["seq"]
    about = {"type": "member.updated", "subject": desk[who].user_id}
    return [event for event in events if about.items() <= event.items()]


async def rename(desk: Desk, who: str, name: str, **headers: str) -> None:
    answer = await desk.patch("/v1/me", {"name": name}, who, **headers)
    assert (answer.status_code, answer.json()["name"]) == (200, name)


async def test_a_new_name_is_shown_in_every_team(desk: Desk) -> None:
    teams = [await desk.new_team("admin"), await desk.new_team("admin"), desk.team]
    await rename(desk, "admin", "Grace")
    for team in teams:
        assert await shown(desk, team, "admin") == "Grace"
        *_, event = await renamings(desk, team, "admin")
        assert (event["data"]["member"]["name"], list(event["data"]["previous"])) == ("Grace", ["name"])
        assert (event["actor"], event["actorkind"]) == (desk["admin"].user_id, "user")


async def test_the_same_name_again_is_no_event(desk: Desk) -> None:
    team = await desk.new_team("member")
    await rename(desk, "member", "Barbara")
    await rename(desk, "member", "Barbara")
    assert len(await renamings(desk, team, "member")) == 1


async def test_the_role_stays_and_others_keep_their_names(desk: Desk) -> None:
    before = (await desk.get(f"/v1/teams/{desk.team}/members")).json()["items"]
    await rename(desk, "viewer", "Vera")
    after = (await desk.get(f"/v1/teams/{desk.team}/members")).json()["items"]
    renamed = [
        {**member, "name": "Vera"} if member["user_id"] == desk["viewer"].user_id else member for member in before
    ]
    assert after == renamed


async def test_a_team_that_cannot_be_asked_holds_up_nobody_and_catches_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, well = await desk.new_team("stranger"), await desk.new_team("stranger")
    await rename(desk, "stranger", "Before")
    original = TeamSystem.ask

    async def ask(self: TeamSystem, team_id: UUID, command: Any, *rest: Any) -> Any:
        if team_id == UUID(away) and isinstance(command, RenameMember):
            raise StorageUnavailable("away")
        return await original(self, team_id, command, *rest)

    key = new_key()
    monkeypatch.setattr(TeamSystem, "ask", ask)
    await rename(desk, "stranger", "After", **{"Idempotency-Key": key})
    assert [await shown(desk, team, "stranger") for team in (away, well)] == ["Before", "After"]
    monkeypatch.undo()
    await rename(desk, "stranger", "After", **{"Idempotency-Key": key})
    assert [await shown(desk, team, "stranger") for team in (away, well)] == ["After", "After"]
    assert len(await renamings(desk, well, "stranger")) == 2


async def test_without_a_look_at_the_teams_the_account_is_still_changed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    monkeypatch.setattr(readmodel, "teams_with_another_name", away)
    await rename(desk, "owner", "Olga")


async def test_of_two_new_names_at_once_the_accounts_is_the_teams(desk: Desk) -> None:
    team = await desk.new_team("member")
    await asyncio.gather(*(rename(desk, "member", f"Name {number}") for number in range(12)))
    account = (await desk.get("/v1/me", "member")).json()["name"]
    assert await shown(desk, team, "member") == await shown(desk, desk.team, "member") == account
