"""The real application on a real port: Granian in this process, real Postgres and Valkey, real sign-ups."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import anyio
import httpx
from granian.constants import Interfaces
from granian.server.embed import Server
from msgspec import Struct, structs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.app import create_app
from api.services import Services
from api.settings import HttpSettings
from core.quotas import Quotas
from core.secret import Secret
from db.settings import DatabaseSettings, ValkeySettings
from streams.feeds.hub import HubTimes
from streams.settings import FeedSettings, KafkaSettings
from taskforge.devstack.ports import free_port
from taskforge.limits import server_limits
from taskforge.parts.names import API
from taskforge.settings import Settings
from taskforge.wiring import running
from tests.support.account import NO_TLS
from tests.support.asking import by
from tests.support.documented import check_documented
from tests.support.rates import GENEROUS

QUICK = HubTimes(check=0.2, tick=0.02, hole=0.01)


def settings_for(database: DatabaseSettings, valkey_url: str, **feeds: Any) -> Settings:
    return Settings(
        database=database,
        valkey=ValkeySettings(url=Secret(valkey_url)),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9"),
        keys=(Secret("a secret of at least thirty-two bytes"),),
        http=HttpSettings(allowed_origins=("https://app.example.com",)),
        feeds=structs.replace(FeedSettings(), **feeds),
        limits=GENEROUS,
        quotas=Quotas(teams_per_user=1_000),
    )


class Person(Struct):
    user_id: str
    token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Site:
    """One API worker as its clients see it."""

    def __init__(self, services: Services, port: int, client: httpx.AsyncClient) -> None:
        self.services, self.port, self.client = services, port, client
        self._people = 0

    async def person(self) -> Person:
        self._people += 1
        body = {"email": f"p{self._people}-{self.port}@example.com", "password": "correct horse battery", "name": "Ada"}
        answer = (await self.client.post("/v1/auth/signup", json=body)).raise_for_status().json()
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        me = (await self.client.get("/v1/me", headers=headers)).raise_for_status().json()
        return Person(me["id"], answer["access_token"], answer["refresh_token"])

    async def team(self, owner: Person) -> str:
        body = {"name": "Engineering", "key": "ENG"}
        return (await self.client.post("/v1/teams", json=body, headers=owner.headers)).raise_for_status().json()["id"]

    async def task(self, owner: Person, team_id: str, title: str = "A task", text: str = "") -> dict[str, Any]:
        body = {"team_id": team_id, "title": title, "description": text}
        return (await self.client.post("/v1/tasks", json=body, headers=owner.headers)).raise_for_status().json()

    def live(self, team_id: str, person: Person | None = None, query: str = "", **headers: str) -> connect:
        uri = f"ws://127.0.0.1:{self.port}/v1/teams/{team_id}/live{query}"
        return connect(uri, additional_headers={**(person.headers if person else {}), **headers}, compression=None)

    @asynccontextmanager
    async def stream(self, team_id: str, person: Person, query: str = "", **headers: str) -> AsyncIterator["Stream"]:
        given = {**person.headers, "Accept": "text/event-stream", **headers}
        path = f"/v1/teams/{team_id}/events{query}"
        async with self.client.stream("GET", path, headers=given) as answer:
            yield Stream(answer)


class Stream:
    """Server-Sent Events, parsed as the HTML standard says."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.retry = 0
        self._lines = _lines(answer)

    async def next(self) -> dict[str, Any]:
        """The next event: `id`, `event` and parsed `data`; empty at the end of the stream."""
        found: dict[str, Any] = {}
        with anyio.fail_after(10):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "retry":
                    self.retry = int(value)
                elif name:
                    found[name] = json.loads(value) if name == "data" else value
                elif found:
                    return found
        return {}

    async def seqs(self, count: int) -> list[int]:
        """The numbers of the next events of the team, heartbeats left out."""
        got: list[int] = []
        while len(got) < count:
            event = await self.next()
            assert event, "the stream ended"
            if event["event"] != "heartbeat":
                got.append(event["data"]["seq"])
        return got


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """Lines as Server-Sent Events have them: unlike Python's, they do not end at U+2028 and the like."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()


async def frame(live: ClientConnection, kind: str = "") -> dict[str, Any]:
    """The next frame (of a kind)."""
    with anyio.fail_after(10):
        while True:
            found: dict[str, Any] = json.loads(await live.recv())
            if not kind or found["type"] == kind:
                return found


async def frames_until_closed(live: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """All frames to the end, the close code and its reason."""
    got = []
    with anyio.fail_after(10), contextlib.suppress(ConnectionClosed):
        while True:
            got.append(json.loads(await live.recv()))
    assert live.close_code is not None, "closed without a close frame"
    return got, live.close_code, live.close_reason or ""


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Site]:
    """An API worker on a free port; its client holds every answer against the document."""
    port = free_port()
    async with running(settings, API) as process:
        services = process.services
        services.hub.times = QUICK
        app = create_app(services)
        await app.start()
        server = Server(
            app, "127.0.0.1", port, interface=Interfaces.ASGI, log_enabled=False, **server_limits(settings.http)
        )
        task = asyncio.create_task(server.serve())
        try:
            hooks = {"response": [check_documented]}
            base = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=base, timeout=10, verify=NO_TLS, event_hooks=hooks) as client:
                await _answering(client)
                yield Site(services, port, client)
        finally:
            await services.hub.drain()
            server.stop()
            await task


async def _answering(client: httpx.AsyncClient) -> None:
    with anyio.fail_after(10):
        while True:
            try:
                await client.get("/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.01)
            else:
                return


async def removed(site: Site, team_id: str, owner: Person, member: Person) -> None:
    """Take somebody out of the team."""
    path = f"/v1/teams/{team_id}/members/{member.user_id}"
    (await site.client.delete(path, headers=owner.headers)).raise_for_status()


async def joined(site: Site, team_id: str, owner: Person, member: Person) -> None:
    """Make somebody a member; invitations are another issue's."""
    from core.commands import AddMember

    command = AddMember(UUID(member.user_id), "Bob", "member")
    await site.services.teams.ask(UUID(team_id), command, by(owner.user_id))
