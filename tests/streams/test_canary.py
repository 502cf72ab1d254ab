"""The canary: a user is erased, a task deleted for good, and then every place is searched for what they left.

First the same search finds them, so that it can be believed when it finds nothing.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from msgspec import structs

from core.codec import decode
from core.commands import AddMember
from core.redaction import DELETED_TASK, DELETED_USER
from core.team import TeamState, evolve
from db.journal.journal import PostgresJournal
from db.keyset import Keyset
from db.object_store import open_store
from db.objects import forget_expired_objects
from db.redaction.columns import COLUMNS
from db.settings import DatabaseSettings
from db.signed import Signer
from db.snapshots import unpacked
from streams.mail.delivery import mailbox_of
from taskforge.devstack import DevStack
from taskforge.settings import Settings
from tests.support.apache_kafka import empty, kafka_settings
from tests.support.asking import by
from tests.support.columns import placed
from tests.support.desk import new_key
from tests.support.site import Person, Site, serving, settings_for
from tests.support.topic_reader import EVENTS, TASKS, read_all, read_teams
from tests.support.waiting import until_answered
from tests.support.working import working

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

NAME, FIRST_NAME, EMAIL, AGENT = "Canaria Zwei", "Canaria Eins", "canary-mail@example.com", "canary-agent/9"
KEY_NAME, SUBJECT = "canary-key", "canary-subject"
TITLE, TEXT, LAST_TITLE, EXTERNAL = "canary-title", "canary-text", "canary-last-title", "canary-external"
FILE = "canary-file"
OF_USER, OF_TASK = (NAME, FIRST_NAME, EMAIL, AGENT, KEY_NAME, SUBJECT), (TITLE, TEXT, LAST_TITLE, EXTERNAL, FILE)
ON_TASK, SAID, LAST_SAID = "canary-on-task", "canary-said", "canary-last-said"
CANARIES = (*OF_USER, *OF_TASK, ON_TASK, SAID, LAST_SAID)
PASSWORD = "correct horse battery"


class Place:
    """A database, a Valkey, a broker and a folder of mails; an API worker on them; what people did there."""

    def __init__(self, site: Site, settings: Settings, superuser: Any) -> None:
        self.site, self.settings, self.superuser = site, settings, superuser
        self.keeper, self.canary = Person("", "", ""), Person("", "", "")
        self.team = self.left = self.task = self.comment = self.kept_file = ""

    async def ask(self, method: str, path: str, who: Person, body: Any = None, **headers: str) -> httpx.Response:
        given = {**who.headers, "Idempotency-Key": new_key(), "User-Agent": AGENT, **headers}
        answer = await self.site.client.request(method, path, json=body, headers=given)
        assert answer.is_success, answer.text
        return answer

    async def sign_up(self, email: str, name: str) -> Person:
        body = {"email": email, "password": PASSWORD, "name": name}
        tokens = (await self.site.client.post("/v1/auth/signup", json=body, headers={"User-Agent": AGENT})).json()
        person = Person("", tokens["access_token"], tokens["refresh_token"])
        person.user_id = (await self.site.client.get("/v1/me", headers=person.headers)).json()["id"]
        return person

    async def live(self) -> None:
        """What the canaries do, everywhere they may leave something."""
        self.keeper, self.canary = await self.site.person(), await self.sign_up(EMAIL, FIRST_NAME)
        self.team, self.left = await self.site.team(self.keeper), await self.site.team(self.keeper)
        lobby = await self.site.team(self.keeper)
        user_id = UUID(self.canary.user_id)
        for team in (self.team, self.left):
            await self.site.services.teams.ask(
                UUID(team), AddMember(user_id, FIRST_NAME, "member"), by(self.keeper.user_id)
            )
        await self.ask(
            "PATCH", "/v1/me", self.canary, {"name": NAME}, **{"Content-Type": "application/merge-patch+json"}
        )
        await self.ask("PATCH", f"/v1/teams/{self.team}/members/{user_id}", self.keeper, {"role": "admin"})
        await self.ask("DELETE", f"/v1/teams/{self.left}/members/{user_id}", self.canary)
        await self.ask("POST", f"/v1/teams/{lobby}/invitations", self.keeper, {"role": "viewer", "email": EMAIL})
        await self.ask("POST", "/v1/me/api-keys", self.canary, {"name": KEY_NAME, "scopes": ["read"]})
        await self.ask("POST", "/v1/live-tickets", self.canary, {"team_id": self.team})
        await self.ask("POST", "/v1/me/email-verification", self.canary)
        await self.superuser.execute(
            "insert into external_identities (id, user_id, identity_hash, issuer, subject, created_at)"
            " values ($1, $1, sha256('x'), 'https://issuer.example', $2, now())",
            user_id,
            SUBJECT,
        )
        await self.edit_task()

    async def edit_task(self) -> None:
        fields = {"description": TEXT, "external_id": EXTERNAL, "external_source": EXTERNAL}
        body = {"team_id": self.team, "title": TITLE, "assignee_id": self.canary.user_id, **fields}
        self.task = (await self.ask("POST", "/v1/tasks", self.keeper, body)).json()["id"]
        path = f"/v1/tasks/{self.task}"
        await self.ask("PATCH", path, self.canary, {"title": LAST_TITLE, "assignee_id": self.keeper.user_id})
        await self.ask("PATCH", path, self.keeper, {"description": f"{TEXT} once more"})
        await self.be_late(path)
        await self.ask("POST", f"{path}/move", self.keeper, {"status": "done"})
        await self.attach(self.task, FILE, FILE.encode())
        await self.ask("DELETE", path, self.keeper)
        await self.ask("POST", f"{path}/restore", self.keeper)
        kept = await self.site.task(self.canary, self.team, "Kept")
        self.kept_file = await self.attach(kept["id"], "the team's", b"a file")
        await self.site.task(self.keeper, self.team, "Kept, too")
        await self.talk(kept["id"])

    async def talk(self, kept: str) -> None:
        """Comments on the task that will be deleted, and on one that stays: one of them will be deleted there."""
        mentioning = {"body": f"@{NAME}, look"}
        await self.ask("POST", f"/v1/tasks/{self.task}/comments", self.keeper, {"body": f"{ON_TASK} for @{NAME}"})
        await self.ask("POST", f"/v1/tasks/{kept}/comments", self.keeper, mentioning)
        said = await self.ask("POST", f"/v1/tasks/{kept}/comments", self.canary, {"body": SAID})
        self.comment = f"/v1/comments/{said.json()['id']}"
        await self.ask("PATCH", self.comment, self.canary, {"body": LAST_SAID})
        await self.ask("POST", f"/v1/tasks/{kept}/comments", self.canary, {"body": "This stays."})

    async def attach(self, task: str, name: str, data: bytes) -> str:
        """A file by the user who is going to be erased."""
        headers = {**self.canary.headers, "Idempotency-Key": new_key()}
        files = {"file": (name, data)}
        made = await self.site.client.post(f"/v1/tasks/{task}/attachments", files=files, headers=headers)
        return str(made.raise_for_status().json()["id"])

    async def be_late(self, path: str) -> None:
        """A change of what somebody has changed already: the refusal, which is stored, quotes what stands there."""
        headers = {**self.keeper.headers, "Idempotency-Key": new_key(), "If-Match": '"1"'}
        late = await self.site.client.patch(path, json={"description": "mine"}, headers=headers)
        assert (late.status_code, TEXT in late.text) == (412, True), late.text

    async def save_snapshots(self) -> None:
        """Have every team leave memory."""
        await self.site.services.teams.passivate(1e12)

    # Where canaries may be

    async def in_tables(self, canaries: Iterable[str]) -> set[str]:
        """The columns of any table that hold one of them."""
        found = set()
        for table, columns in COLUMNS.items():
            for name in columns:
                for canary in canaries:
                    as_text = f"{name}::text ilike '%' || $1 || '%'"
                    as_bytes = f"{name}::text like '%' || encode(convert_to($1, 'UTF8'), 'hex') || '%'"
                    query = f"select count(*) from {table} where {as_text} or {as_bytes}"
                    if await self.superuser.fetchval(query, canary):
                        found.add(f"{table}.{name}")
        return found

    async def in_valkey(self, canaries: Iterable[str]) -> set[str]:
        """The keys whose values hold one of them, what is compressed in them included."""
        client, found = self.site.services.valkey, set()
        signer = Signer(Keyset(self.settings.keys))
        async for key in client.scan_iter():
            kind = (await client.type(key)).decode()
            value = await client.get(key) if kind == "string" else repr(await client.dump(key)).encode()
            if key.startswith(b"taskforge:snapshot:"):
                team_id = UUID(key.rpartition(b":")[2].decode())
                value = unpacked(signer.verify("snapshot", key, value, team_id=team_id)).body
            if any(canary.encode() in value for canary in canaries):
                found.add(key.decode())
        return found

    async def answers(self) -> dict[str, str]:
        """What somebody in the team is told of it, now and of the past."""
        told = {}
        for name, path in {
            "events": f"/v1/teams/{self.team}/events?after=0&limit=100",
            "events of the team that was left": f"/v1/teams/{self.left}/events?after=0&limit=100",
            "board": f"/v1/teams/{self.team}/board",
            "members": f"/v1/teams/{self.team}/members",
            "former": f"/v1/teams/{self.left}/members?former=true",
            "tasks": f"/v1/tasks?team_id={self.team}",
            "archived": f"/v1/tasks?team_id={self.team}&archived=true",
            **{f"search for {word}": f"/v1/tasks?team_id={self.team}&q={word}" for word in OF_TASK},
            **{f"archive of {word}": f"/v1/tasks?team_id={self.team}&q={word}&archived=true" for word in OF_TASK},
        }.items():
            told[name] = (await self.site.client.get(path, headers=self.keeper.headers)).raise_for_status().text
        told["replay"] = await self.replay()
        return told

    async def replay(self) -> str:
        head = (await self.site.services.teams.view(UUID(self.team))).seq
        async with self.site.stream(self.team, self.keeper, "?after=0") as stream:
            told, seq = "", 0
            while seq < head:
                event = await stream.next()
                told += json.dumps(event)
                seq = event["data"]["seq"]
        return told

    async def topics(self) -> str:
        """All that the broker has of the teams, once it has everything."""
        bootstrap = self.settings.kafka.bootstrap_servers
        rows = await self.superuser.fetch("select id::text, seq from teams where seq > 0")
        await read_teams(bootstrap, {row["id"]: row["seq"] for row in rows})
        records = [*await read_all(bootstrap, EVENTS), *await read_all(bootstrap, TASKS)]
        return "\n".join((record.value or b"").decode() for record in records)


@asynccontextmanager
async def opened(settings: Settings, superuser: Any) -> AsyncIterator[Place]:
    async with serving(settings) as site:
        yield Place(site, settings, superuser)


@pytest.fixture
async def settings(database: DatabaseSettings, valkey_url: str, kafka_bootstrap: str, tmp_path: Path) -> Settings:
    made = settings_for(database, valkey_url)
    return structs.replace(
        made,
        kafka=kafka_settings(kafka_bootstrap),
        mail=structs.replace(made.mail, mailbox=str(tmp_path / "mails")),
        objects=structs.replace(made.objects, url=(tmp_path / "objects").as_uri()),
    )


async def succeeded(place: Place, kind: str, count: int = 1) -> None:
    """Wait until so many operations of a kind have."""

    async def done() -> bool:
        query = "select count(*) from operations where kind = $1 and status = 'succeeded'"
        return bool(await place.superuser.fetchval(query, kind) == count)

    await until_answered(done, seconds=60.0)


def told_of(told: Mapping[str, str], canaries: Iterable[str]) -> set[str]:
    return {name for name, text in told.items() if any(canary in text for canary in canaries)}


async def test_nothing_is_left_anywhere(
    settings: Settings, superuser: Any, services: DevStack, valkey_url: str
) -> None:
    async with opened(settings, superuser) as place:
        async with working(settings) as worker:
            await place.live()
            await export(place)
            await place.save_snapshots()
            await check_that_the_search_finds_them(place)

            await place.ask("DELETE", place.comment, place.canary)
            await succeeded(place, "comment-redaction")
            await place.ask("DELETE", f"/v1/tasks/{place.task}?permanent=true", place.keeper)
            await succeeded(place, "task-redaction")
            await place.ask("DELETE", "/v1/me", place.canary, {"password": PASSWORD})
            await succeeded(place, "erasure")
            await place.save_snapshots()
            await forget_expired_objects(worker.pools.worker, open_store(settings.objects))
        check_the_last_mail(settings)
        await check_that_nothing_is_found(place)
        await check_the_history(place)
        await check_the_account(place)
        await empty(services.kafka)
        async with working(settings, "relay"):
            topics = await place.topics()
        assert not [canary for canary in CANARIES if canary in topics], "the broker was filled anew"
        assert DELETED_TASK in topics
        assert DELETED_USER in topics


async def export(place: Place) -> None:
    """An archive in the object store, of which not even an object is to be left."""
    await place.ask("POST", "/v1/me/export", place.canary)
    await succeeded(place, "export")
    assert list(folder_of(place.settings).rglob("*/*"))


def folder_of(settings: Settings) -> Path:
    return Path(settings.objects.url.removeprefix("file://"))


async def check_that_the_search_finds_them(place: Place) -> None:
    wanted = {
        "api_keys.name", "account_tokens.email", "external_identities.subject",
        "former_members.name", "idempotency_keys.body", "invitations.email",
        "comments.body",
        "memberships.name", "notifications.data", "search_documents.text", "sessions.user_agent", "task_events.payload",
        "tasks.title", "tasks.description", "tasks.external_id", "tasks.external_source", "users.email", "users.name",
        "attachments.name", "objects.name",
    }  # fmt: skip

    async def found() -> bool:
        return await place.in_tables(CANARIES) >= wanted  # A consumer writes notifications in its own time.

    await until_answered(found)
    assert f":{place.team}" in "".join(await place.in_valkey(CANARIES))
    told = told_of(await place.answers(), CANARIES)
    assert {"events", "board", "members", "former", "tasks", "replay", f"search for {LAST_TITLE}"} <= told
    assert LAST_TITLE in await place.topics()


async def check_that_nothing_is_found(place: Place) -> None:
    assert await place.in_tables(CANARIES) == set()
    assert await place.in_valkey(CANARIES) == set()
    assert told_of(await place.answers(), CANARIES) == set()
    left = [path for path in folder_of(place.settings).rglob("*") if path.is_file()]
    assert [path.parent.name for path in left] == [place.kept_file], "what was attached to other tasks is the team's"
    kept = await place.ask("GET", f"/v1/attachments/{place.kept_file}", place.keeper)
    assert kept.json()["created_by"] == place.canary.user_id


def check_the_last_mail(settings: Settings) -> None:
    mailbox = mailbox_of(settings.mail)
    assert mailbox is not None
    newest = mailbox.read()[0]
    assert newest.subject == "Your account was deleted"
    assert EMAIL in newest.to


async def check_the_history(place: Place) -> None:
    journal = PostgresJournal(place.site.services.pools)
    for team in (place.team, place.left):
        rows = await journal.read(UUID(team), 0)
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        folded = TeamState()
        for row in rows:
            evolve(folded, decode(row))
        loaded = await journal.load(UUID(team))
        assert loaded is not None
        assert sorted(folded.tasks.values(), key=lambda task: task.number) == sorted(
            loaded.tasks.values(), key=lambda task: task.number
        )
        assert (folded.seq, folded.members, placed(folded)) == (loaded.seq, loaded.members, placed(loaded))
    kinds = [row.type for row in await journal.read(UUID(place.team), 0)]
    assert kinds.count("history.redacted") == 3
    comments = [await comments_on(place, task) for task in folded_ids(await place.answers())]
    assert sorted(map(len, comments)) == [0, 2], "what was said elsewhere stays"
    shown = json.dumps(comments)
    assert f"@{DELETED_USER}, look" in shown
    assert "This stays." in shown


def folded_ids(answers: Mapping[str, str]) -> list[str]:
    """The tasks that are left."""
    return [task["id"] for task in json.loads(answers["tasks"])["items"]]


async def comments_on(place: Place, task: str) -> list[Any]:
    comments: list[Any] = (await place.ask("GET", f"/v1/tasks/{task}/comments", place.keeper)).json()["items"]
    return comments


async def check_the_account(place: Place) -> None:
    """Nobody signs in as the user, and the address is somebody else's from now on."""
    client = place.site.client

    async def signed_out() -> bool:
        return bool((await client.get("/v1/me", headers=place.canary.headers)).status_code == 401)

    await until_answered(signed_out)
    answer = await client.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 401
    other = await place.sign_up(EMAIL, "Somebody else")
    assert other.user_id != place.canary.user_id
