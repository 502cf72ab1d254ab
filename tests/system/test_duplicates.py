"""Every mutating operation, sixteen times at once under one key over two workers, one of which is killed: one effect.

The operations are those of the OpenAPI document. What each needs is made for it (`Scene.request`), so that a new
operation without an `Idempotency-Key`, or without a scene here, fails.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import httpx
import pytest
import uuid_utils.compat as uuids
from msgspec import Struct

from api.endpoints import all_operations
from api.multipart import FORM
from api.openapi import Operation
from core.secret import Secret
from db.keyset import Keyset
from db.people.mail_preferences import UnsubscribeTokens
from taskforge.devstack.datadir import DataDir
from taskforge.devstack.postgres import DATABASE, SUPERUSER, postgres_url
from tests.support.account import NO_TLS, PASSWORD
from tests.support.directories import open_directory
from tests.support.issuer import AUDIENCE, TOKENS, USERINFO, FakeIssuer, faking
from tests.support.system import System, children, runs
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(240)]

CLIENT: Final = "our-client"
MUTATING: Final = {"POST", "PUT", "PATCH", "DELETE"}
DUPLICATES, ROUNDS = 16, 2
ELSEWHERE: Final = {
    "deleteMe": "its work goes on for minutes, and ends whoever asks: tests/api/test_erasure.py",
    "deleteTeam": "it ends the team that all others act upon: tests/api/test_offboarding.py",
    "putObject": "its address is its key, and what is sent again is the same file: tests/api/test_attachments.py",
}
"""Operations whose duplicates are proven in another place, and why."""
TABLES: Final = (
    "users",
    "sessions",
    "refresh_tokens",
    "api_keys",
    "external_identities",
    "external_sign_ins",
    "operations",
    "account_tokens",
    "live_tickets",
    "teams",
    "memberships",
    "former_members",
    "invitations",
    "invitation_acceptances",
    "labels",
    "tasks",
    "comments",
    "task_events",
    "attachments",
    "webhook_subscriptions",
)
"""Where an effect shows as rows; those that work in the background fills come later, and follow from these."""
BUT_FOR: Final = {"task_events": "type = 'history.redacted'", "operations": "kind = 'comment-redaction'"}
"""Rows of these tables that work in the background makes of a deleted comment."""
QUERIES: Final = {"revokeMySessions": "?others=true"}
"""Without it, the asker's own session would end."""
NEW_PASSWORD = "another correct horse battery"


class Asked(Struct):
    """A request of which all duplicates are the same to the byte."""

    operation: str
    method: str
    path: str
    body: Any
    headers: dict[str, str]
    form: bool
    file: bool


Asker = Callable[[Asked], Awaitable[httpx.Response]]


class Person(Struct):
    user_id: str
    email: str
    access: dict[str, str]
    refresh_token: str


class Scene:
    """Makes for each operation what it acts upon, new each time."""

    def __init__(self, system: System, http: httpx.AsyncClient, issuer: FakeIssuer) -> None:
        self.system, self.http, self.issuer = system, http, issuer
        self.cookie = self.upload = ""
        self.upload_task: list[str] = []
        """The task of an upload that is to be completed."""
        self.owner: Person
        self.team = ""

    async def open(self) -> "Scene":
        self.owner = await self.person()
        made = await self.do("POST", "/v1/teams", {"name": "Twice", "key": "TWC"})
        self.team = made["id"]
        return self

    async def do(self, method: str, path: str, body: Any = None, who: Person | None = None) -> Any:
        answer = await self.http.request(method, path, json=body, headers=(who or self.owner).access)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def person(self) -> Person:
        email = f"{uuids.uuid7()}@example.com"
        body = {"email": email, "password": PASSWORD, "name": "Ada"}
        tokens = (await self.http.post("/v1/auth/signup", json=body)).raise_for_status().json()
        access = {"Authorization": f"Bearer {tokens['access_token']}"}
        me = (await self.http.get("/v1/me", headers=access)).raise_for_status().json()
        return Person(me["id"], email, access, tokens["refresh_token"])

    async def member(self) -> Person:
        """Somebody new in the team."""
        link = await self.do("POST", f"/v1/teams/{self.team}/invitations", {"role": "member"})
        person = await self.person()
        await self.do("POST", "/v1/invitations/accept", {"token": link["token"]}, person)
        return person

    async def mailed(self, email: str, words: str) -> str:
        """The token in the newest mail to this address whose subject has these words."""
        async with asyncio.timeout(30):
            while True:
                answer = await self.http.get("/dev/mail", headers={"Accept": "application/json"})
                for mail in answer.json()["items"]:
                    if email in mail["to"] and words in mail["subject"].lower():
                        found = re.search(r"tfm_[A-Za-z0-9_-]+", mail["text"])
                        assert found is not None, mail["text"]
                        return found.group()
                await asyncio.sleep(0.05)

    async def request(self, operation: Operation) -> Asked:
        """The operation on things of its own."""
        path, body = operation.path, operation.body_example
        who: Person | None = self.owner
        special: Callable[[], Awaitable[tuple[Any, Person | None]]] | None = getattr(self, operation.id, None)
        if special is not None:
            body, who = await special()
        elif operation.path.startswith("/v1/me") or operation.path.startswith("/v1/auth"):
            who = await self.person()
        values = {name: await self.id_of(name, who or self.owner) for name in re.findall(r"{(\w+)}", path)}
        if operation.id == "restoreTask":
            await self.do("DELETE", f"/v1/tasks/{values['task_id']}")
        key = {"Idempotency-Key": str(uuids.uuid7())}
        headers = key if who is None else {**who.access, **key}
        path = path.format_map(values) + QUERIES.get(operation.id, "")
        if operation.id == "unsubscribe":
            path += f"?token={await self.unsubscribe_token()}"
        if operation.id == "exchangeSignInCode":
            headers["Cookie"] = self.cookie
        form = "application/x-www-form-urlencoded" in operation.body_media_types
        file = operation.body_media_types == (FORM,)
        return Asked(operation.id, operation.method, path, body, headers, form, file)

    async def id_of(self, name: str, who: Person) -> str:
        match name:
            case "team_id":
                return self.team
            case "task_id":
                return self.upload_task.pop() if self.upload_task else await self.task()
            case "comment_id":
                path = f"/v1/tasks/{await self.task()}/comments"
                return str((await self.do("POST", path, {"body": "so"}, who))["id"])
            case "attachment_id":
                path = f"/v1/tasks/{await self.task()}/attachments"
                made = await self.http.post(path, files={"file": ("a.txt", b"a file")}, headers=who.access)
                return str(made.raise_for_status().json()["id"])
            case "upload_id":
                return self.upload
            case "label_id":
                body = {"name": f"label {uuids.uuid7()}", "color": "#000000"}
                return str((await self.do("POST", f"/v1/teams/{self.team}/labels", body))["id"])
            case "column_id":
                return str((await self.column())["id"])
            case "invitation_id":
                return str((await self.do("POST", f"/v1/teams/{self.team}/invitations", {"role": "viewer"}))["id"])
            case "subscription_id":
                return str((await self.webhook())["id"])
            case "delivery_id":
                path = f"/v1/webhooks/subscriptions/{(await self.webhook())['id']}/test"
                return str((await self.do("POST", path))["id"])
            case "user_id":
                return (await self.member()).user_id
            case "session_id":
                return await self.another_session(who)
            case "identity_id":
                token = self.issuer.token(sub=str(uuids.uuid7()))
                return str((await self.do("POST", "/v1/me/identities", {"token": token}, who))["id"])
            case "key_id":
                return str((await self.do("POST", "/v1/me/api-keys", {"name": "K", "scopes": ["read"]}, who))["id"])
            case _:
                pytest.fail(f"give {{{name}}} a scene")

    async def column(self) -> Any:
        body = {"name": str(uuids.uuid7()), "category": "open"}
        return await self.do("POST", f"/v1/teams/{self.team}/columns", body)

    async def webhook(self) -> Any:
        """One that no event matches: nothing is sent but what a test asks for."""
        body = {"team_id": self.team, "url": "https://hooks.example.com/in", "event_types": ["team.restored"]}
        return await self.do("POST", "/v1/webhooks/subscriptions", body)

    async def task(self) -> str:
        return str((await self.do("POST", "/v1/tasks", {"team_id": self.team, "title": "T"}))["id"])

    async def unsubscribe_token(self) -> str:
        keys = DataDir(self.system.data).secrets().keyset
        user_id = UUID((await self.person()).user_id)
        return UnsubscribeTokens(Keyset([Secret(key) for key in keys])).token(user_id, "digest.daily")

    async def another_session(self, who: Person) -> str:
        (await self.http.post("/v1/auth/login", json={"email": who.email, "password": PASSWORD})).raise_for_status()
        sessions = (await self.do("GET", "/v1/me/sessions", who=who))["items"]
        return str(next(one["id"] for one in sessions if not one["current"]))

    # What differs from the documented example, by operation.

    async def createTask(self) -> tuple[Any, Person | None]:  # noqa: N802 (an operation's id)
        return {"team_id": self.team, "title": "Once"}, self.owner

    async def batchTasks(self) -> tuple[Any, Person | None]:  # noqa: N802
        operations = [{"op": "create", "title": "Once"}, {"op": "archive", "id": await self.task()}]
        return {"team_id": self.team, "operations": operations}, self.owner

    async def addAttachment(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"file": ("once.txt", b"once", "text/plain")}, self.owner

    async def completeUpload(self) -> tuple[Any, Person | None]:  # noqa: N802
        """A file that has been sent to its address."""
        task, data = await self.task(), b"sent"
        said = {"name": "a.txt", "size": len(data), "digest": hashlib.sha256(data).hexdigest()}
        signed = await self.do("POST", f"/v1/tasks/{task}/attachments/uploads", said)
        (await self.http.put(signed["url"], content=data)).raise_for_status()
        self.upload, self.upload_task = signed["upload_id"], [task]
        return None, self.owner

    async def updateTeam(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"name": str(uuids.uuid7())}, self.owner

    async def createLabel(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"name": str(uuids.uuid7()), "color": "#000000"}, self.owner

    async def createColumn(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"name": str(uuids.uuid7()), "category": "open"}, self.owner

    async def updateColumn(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"name": str(uuids.uuid7())}, self.owner

    async def moveColumn(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"before_id": (await self.column())["id"]}, self.owner

    async def createInvitation(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"role": "member", "email": f"{uuids.uuid7()}@example.com"}, self.owner

    async def acceptInvitation(self) -> tuple[Any, Person | None]:  # noqa: N802
        link = await self.do("POST", f"/v1/teams/{self.team}/invitations", {"role": "member"})
        return {"token": link["token"]}, await self.person()

    async def createLiveTicket(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"team_id": self.team}, self.owner

    async def createWebhook(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"team_id": self.team, "url": "https://hooks.example.com/in", "event_types": []}, self.owner

    async def recoverWebhook(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"since": datetime.now(UTC).isoformat()}, self.owner

    async def unsubscribe(self) -> tuple[Any, Person | None]:
        return {"List-Unsubscribe": "One-Click"}, None

    async def signUp(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"email": f"{uuids.uuid7()}@example.com", "password": PASSWORD, "name": "Ada"}, None

    async def logIn(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"email": (await self.person()).email, "password": PASSWORD}, None

    async def refresh(self) -> tuple[Any, Person | None]:
        return {"refresh_token": (await self.person()).refresh_token}, None

    async def logOut(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"refresh_token": (await self.person()).refresh_token}, None

    async def requestPasswordReset(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"email": (await self.person()).email}, None

    async def confirmPasswordReset(self) -> tuple[Any, Person | None]:  # noqa: N802
        person = await self.person()
        (await self.http.post("/v1/auth/password-reset", json={"email": person.email})).raise_for_status()
        return {"token": await self.mailed(person.email, "password"), "password": NEW_PASSWORD}, None

    async def changePassword(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"password": PASSWORD, "new_password": NEW_PASSWORD}, await self.person()

    async def linkMyIdentity(self) -> tuple[Any, Person | None]:  # noqa: N802
        return {"token": self.issuer.token(sub=str(uuids.uuid7()))}, await self.person()

    async def exchangeSignInCode(self) -> tuple[Any, Person | None]:  # noqa: N802
        """From the issuer's page back to ours: the browser has a cookie, and a code behind #."""
        begun = await self.http.get("/v1/auth/oidc/fake")
        self.cookie = begun.headers["set-cookie"].partition(";")[0]
        sent = {name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()}
        subject = str(uuids.uuid7())
        token = self.issuer.token(aud=CLIENT, sub=subject, nonce=sent["nonce"])
        self.issuer.answers[USERINFO] = (200, {}, json.dumps({"sub": subject}).encode())
        answer = {"id_token": token, "access_token": "opaque", "token_type": "Bearer"}
        self.issuer.answers[TOKENS] = (200, {}, json.dumps(answer).encode())
        query = {"code": "the code", "state": sent["state"]}
        back = await self.http.get("/v1/auth/oidc/fake/callback", params=query, headers={"Cookie": self.cookie})
        return {"code": back.headers["location"].partition("#code=")[2]}, None

    async def verifyEmail(self) -> tuple[Any, Person | None]:  # noqa: N802
        person = await self.person()
        return {"token": await self.mailed(person.email, "confirm")}, None


MUTATIONS: Final = [one for one in all_operations() if one.method in MUTATING and one.id not in ELSEWHERE]


def test_every_mutating_operation_takes_a_key() -> None:
    assert not [
        one.id for one in all_operations() if one.method in MUTATING and not one.keyed and one.id not in ELSEWHERE
    ]
    assert ELSEWHERE.keys() <= {operation.id for operation in all_operations()}


@contextlib.asynccontextmanager
async def running(root: Path, issuer: FakeIssuer) -> AsyncIterator[System]:
    known = {"name": "fake", "issuer": issuer.url, "audience": AUDIENCE, "client_id": CLIENT, "client_secret": "secret"}
    environment = {"TASKFORGE_AUTH__ISSUERS": json.dumps([known])}
    with open_directory(root) as directory:
        system = System(directory, "--workers", "2", environment=environment)
        try:
            await asyncio.to_thread(system.start)
            yield system
            assert await asyncio.to_thread(system.stop) == 0
        finally:
            await asyncio.to_thread(system.kill)


@pytest.mark.proof
async def test_sixteen_duplicates_have_one_effect_and_one_answer(services_root: Path) -> None:
    async with faking() as issuer, running(services_root, issuer) as system:
        await walk(system, issuer)


async def walk(system: System, issuer: FakeIssuer) -> None:
    async with clients(system, 1) as pool:
        scene = await Scene(system, pool[0], issuer).open()
        once = await effects_of(system, await made(scene), [partial(answered, pool[0])])
    for number in range(ROUNDS):
        async with clients(system, 4) as pool:
            scene.http = pool[0]
            several = [partial(answered, http) for http in pool * (DUPLICATES // len(pool))]
            requests = await made(scene)
            killed = asyncio.create_task(kill_a_worker(system, after=0.05 + 0.2 * number))
            assert await effects_of(system, requests, several) == once
            await killed
        await asyncio.to_thread(eventually, system.ready, "the workers are back")


async def made(scene: Scene) -> list[Asked]:
    return [await scene.request(operation) for operation in MUTATIONS]


async def effects_of(system: System, requests: Sequence[Asked], askers: Sequence[Asker]) -> dict[str, int]:
    """All operations, each by all askers at once; how many rows came of it in each table."""
    before = await rows(system)
    answers = await asyncio.gather(*[asyncio.gather(*[ask(asked) for ask in askers]) for asked in requests])
    for asked, same in zip(requests, answers, strict=True):
        assert same[0].is_success, f"{asked.operation}: {same[0].status_code} {same[0].text}"
        shown = {(one.status_code, one.content, one.headers.get("etag"), one.headers.get("location")) for one in same}
        assert len(shown) == 1, f"{asked.operation}: {shown}"
        first = [one for one in same if "idempotent-replayed" not in one.headers]
        assert len(first) <= 1 or asked.operation == "logOut", f"{asked.operation} ran {len(first)} times"
    after = await rows(system)
    return {table: after[table] - before[table] for table in TABLES}


async def answered(http: httpx.AsyncClient, asked: Asked) -> httpx.Response:
    """The answer, asked for again while the first is at work, or after its worker was killed."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.TransportError):
                body = {"files" if asked.file else "data" if asked.form else "json": asked.body}
                answer = await http.request(asked.method, asked.path, headers=asked.headers, **body)
                in_flight = answer.status_code == 409 and answer.json()["code"] == "idempotency-key-in-flight"
                if not in_flight and answer.status_code != 503:
                    return answer
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def clients(system: System, number: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients with connections of their own, so that both workers get some."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=system.url, timeout=30, verify=NO_TLS, limits=httpx.Limits(max_connections=40)
                )
            )
            for _ in range(number)
        ]


async def kill_a_worker(system: System, *, after: float) -> None:
    await asyncio.sleep(after)
    victim = max(children(system.pid_of("taskforge api")))
    os.kill(victim, signal.SIGKILL)
    await asyncio.to_thread(eventually, lambda: not runs(victim), "the worker is gone")


async def rows(system: System) -> dict[str, int]:
    secrets = json.loads((system.data / "secrets.json").read_text())
    url = postgres_url(system.port("postgres"), DATABASE, SUPERUSER, secrets["postgres_password"])
    connection = await asyncpg.connect(url)
    try:
        counted = {table: f"select count(*) from {table} where not {BUT_FOR.get(table, 'false')}" for table in TABLES}
        return {table: await connection.fetchval(query) for table, query in counted.items()}
    finally:
        await connection.close()
