"""A team with one person per role in front of a running API, and shorthands for asking it."""

from typing import Any
from uuid import UUID

import httpx
import uuid_utils.compat as uuids

from api.app import create_app
from core.commands import AddMember
from tests.support.asking import by
from tests.support.site import Person, Site

RANDOM = "019a0000-0000-7000-8000-00000000dead"


class Desk:
    """`app` is a second application over the same services, to be called without a server.

    `owner`, `admin`, `member` and `viewer` are in `team`; `stranger` has a team and a task of their own."""

    def __init__(self, site: Site) -> None:
        self.site, self.client = site, site.client
        self.app = create_app(site.services)
        self.people: dict[str, Person] = {}
        self.team = self.other_team = ""
        self.other_task: dict[str, Any] = {}

    @classmethod
    async def open(cls, site: Site) -> "Desk":
        desk = cls(site)
        await desk.app.start()
        for name in ("owner", "admin", "member", "viewer", "stranger"):
            desk.people[name] = await site.person()
        desk.team = await site.team(desk["owner"])
        for role in ("admin", "member", "viewer"):
            await desk.join(desk.team, "owner", role, role)
        desk.other_team = await site.team(desk["stranger"])
        desk.other_task = await site.task(desk["stranger"], desk.other_team, "A secret")
        return desk

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    async def join(self, team_id: str, inviter: str, name: str, role: Any) -> None:
        """Make somebody a member; invitations come in the API issue."""
        command = AddMember(UUID(self[name].user_id), name.title(), role)
        await self.site.services.teams.ask(UUID(team_id), command, by(self[inviter].user_id))

    async def renew(self, who: str) -> None:
        """Another access token for somebody who is here longer than one lives (ten minutes)."""
        person = self[who]
        body = {"refresh_token": person.refresh_token}
        answer = (await self.client.post("/v1/auth/refresh", json=body)).raise_for_status().json()
        self.people[who] = Person(person.user_id, answer["access_token"], answer["refresh_token"])

    async def ask(self, method: str, path: str, who: str = "owner", **options: Any) -> httpx.Response:
        headers = {**self[who].headers, **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **options)

    async def get(self, path: str, who: str = "owner", **headers: str) -> httpx.Response:
        return await self.ask("GET", path, who, headers=headers)

    async def post(self, path: str, body: Any = None, who: str = "owner", **headers: str) -> httpx.Response:
        return await self.ask("POST", path, who, json=body, headers=headers)

    async def patch(self, path: str, body: Any, who: str = "owner", **headers: str) -> httpx.Response:
        return await self.ask("PATCH", path, who, json=body, headers=headers)

    async def delete(self, path: str, who: str = "owner", **headers: str) -> httpx.Response:
        return await self.ask("DELETE", path, who, headers=headers)

    async def task(self, title: str = "A task", who: str = "owner", **fields: Any) -> dict[str, Any]:
        answer = await self.post("/v1/tasks", {"team_id": self.team, "title": title, **fields}, who)
        assert answer.status_code == 201, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def new_team(self, who: str = "owner") -> str:
        return await self.site.team(self[who])


def new_key() -> str:
    return str(uuids.uuid7())


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, once it is proven to be one."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    document: dict[str, Any] = answer.json()
    assert (document["code"], document["status"], document["type"]) == (code, status, f"/problems/{code}")
    assert document["title"]
    assert document["detail"]
    return document
