"""Commands through `Changes` with asks built by hand, as a WebSocket, a saga or an agent builds them: without HTTP."""

import ast
import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import msgspec
import pytest
import uuid_utils.compat as uuids

from actors.envelope import CommandResult
from api.answers import Answer
from api.changes import Changes
from api.rest_v1 import REST_V1
from api.services import Services
from core.ask import Ask
from core.commands import CreateTask, CreateTeam, RemoveMember, UpdateTask
from core.errors import Conflict, DeadlineExceeded, Forbidden, KeyReused, NotFound
from core.principal import Principal, Scope
from core.task import TaskFields, TaskPatch
from db.idempotency import find_reply
from db.people.sessions import Client
from db.settings import DatabaseSettings
from streams.cloud_events import cloud_event
from taskforge.parts.names import API
from taskforge.wiring import running
from tests.support.site import settings_for
from tests.support.source import ROOT

pytestmark = pytest.mark.anyio

KEY = "a-key-of-sixteen-letters"


class Room:
    """A running system with a team of one owner, and no server in front of it."""

    def __init__(self, services: Services, owner: UUID, team: UUID) -> None:
        self.services, self.owner, self.team = services, owner, team
        self.changes = Changes(services)

    def ask(self, *, key: str | None = None, body: str = "", deadline: float | None = None) -> Ask:
        fingerprint = b"" if key is None else hashlib.sha256(body.encode()).digest()
        return Ask(Principal.of_user(self.owner), key, fingerprint, deadline=deadline)

    def ask_by_key(self, *scopes: Scope, key_id: UUID | None = None, key: str | None = None) -> Ask:
        principal = Principal.of_key(key_id or uuids.uuid7(), self.owner, scopes)
        return Ask(principal, key, b"" if key is None else b"f" * 32)

    async def create(self, ask: Ask, title: str) -> Answer:
        return await self.changes.make(ask, self.team, CreateTask(TaskFields(title=title)), self.shown)

    def shown(self, result: CommandResult) -> Answer:
        return Answer(201, result.items[0].encoded(REST_V1), self.changes.headers(self.team, result))

    async def titles(self) -> Sequence[str]:
        view = await self.services.teams.view(self.team)
        return [task.title for task in view.state.tasks.values()]


@pytest.fixture
async def room(database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Room]:
    async with running(settings_for(database, valkey_url), API) as process:
        services = process.services
        owner = (await services.identity.sign_up("ada@example.com", "Ada", "hash", Client())).principal.user_id
        team = services.new_id()
        await services.teams.ask(team, CreateTeam(team, "Engineering", "ENG", "Ada"), Ask(Principal.of_user(owner)))
        yield Room(services, owner, team)


def title_of(answer: Answer) -> str:
    return str(msgspec.json.decode(answer.body)["title"])


async def test_a_command_is_made_and_answered(room: Room) -> None:
    answer = await room.create(room.ask(), "Paint the shed")
    assert (answer.status, title_of(answer)) == (201, "Paint the shed")
    assert dict(answer.headers) == {
        b"taskforge-team": str(room.team).encode(),
        b"taskforge-seq": b"3",
        b"taskforge-epoch": b"1",
    }
    assert await room.titles() == ["Paint the shed"]


async def test_the_same_key_and_request_get_the_stored_answer_to_the_byte(room: Room) -> None:
    first = await room.create(room.ask(key=KEY), "Once")
    second = await room.create(room.ask(key=KEY), "Once")
    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers == (*first.headers, (b"idempotent-replayed", b"true"))
    assert await room.titles() == ["Once"]


async def test_the_same_key_with_another_request_is_refused(room: Room) -> None:
    await room.create(room.ask(key=KEY, body="one"), "Once")
    with pytest.raises(KeyReused):
        await room.create(room.ask(key=KEY, body="two"), "Twice")
    assert await room.titles() == ["Once"]


async def test_a_refusal_of_the_team_is_stored_and_answered_again(room: Room) -> None:
    leaving = RemoveMember(room.owner)
    with pytest.raises(Conflict):
        await room.changes.make(room.ask(key=KEY), room.team, leaving, room.shown)
    again = await room.changes.make(room.ask(key=KEY), room.team, leaving, room.shown)
    assert again.status == 409
    assert msgspec.json.decode(again.body)["reason"] == "last-owner"


async def test_an_ask_past_its_deadline_is_not_made(room: Room) -> None:
    await room.create(room.ask(), "Wakes the team")
    with pytest.raises(DeadlineExceeded):
        await room.create(room.ask(key=KEY, deadline=-1.0), "Too late")
    assert await room.titles() == ["Wakes the team"]
    assert title_of(await room.create(room.ask(key=KEY), "In time")) == "In time"


async def test_a_preview_answers_and_writes_nothing(room: Room) -> None:
    answer = await room.changes.preview(room.ask(), room.team, CreateTask(TaskFields(title="If")), room.shown)
    assert title_of(answer) == "If"
    assert await room.titles() == []


async def test_an_unknown_task_is_not_found(room: Room) -> None:
    command = UpdateTask(uuids.uuid7(), TaskPatch(title="x"))
    with pytest.raises(NotFound):
        await room.changes.make(room.ask(), room.team, command, room.shown)


async def test_a_key_that_only_reads_cannot_write(room: Room) -> None:
    with pytest.raises(Forbidden, match="does not have the scope write"):
        await room.create(room.ask_by_key("read", key=KEY), "By a key")
    assert await room.titles() == []
    assert (await room.create(room.ask_by_key("write"), "By a key")).status == 201


@pytest.mark.parametrize("kind", ["key", "agent"])
async def test_an_event_says_by_which_key_it_was_asked(room: Room, kind: str) -> None:
    """The actor is always the user: what acts for them is beside it, in the journal and in every CloudEvent."""
    principal = Principal.of_key(uuids.uuid7(), room.owner, ["write"], agent=kind == "agent")
    await room.create(Ask(principal), "By a key")
    await room.create(room.ask(), "By hand")
    rows = (await room.services.journal.read(room.team, 2))[-2:]
    assert [(row.actor_id, row.actor_kind, row.via) for row in rows] == [
        (room.owner, kind, principal.key_id),
        (room.owner, "user", None),
    ]
    by_key, by_hand = (msgspec.json.decode(cloud_event(row)) for row in rows)
    assert (by_key["actor"], by_key["actorkind"], by_key["via"]) == (str(room.owner), kind, str(principal.key_id))
    assert (by_hand["actor"], by_hand["actorkind"], "via" in by_hand) == (str(room.owner), "user", False)


async def test_an_idempotency_key_belongs_to_whoever_used_it(room: Room) -> None:
    """A user and their API keys use the same name without meeting, and a refusal for want of scope is not stored."""
    one, other = uuids.uuid7(), uuids.uuid7()
    asks = [room.ask(key=KEY), *(room.ask_by_key("write", key_id=key_id, key=KEY) for key_id in (one, other))]
    for number, ask in enumerate(asks):
        answer = await room.create(ask, f"Number {number}")
        assert (b"idempotent-replayed", b"true") not in answer.headers
        found = await find_reply(room.services.pools.api, ask)
        assert found is not None
        assert (found.team_id, found.reply.body) == (room.team, answer.body)
    assert title_of(await room.create(asks[2], "Number 2")) == "Number 2"
    assert len(await room.titles()) == 3


async def test_sixty_four_asks_with_one_key_have_one_effect(room: Room) -> None:
    answers = await asyncio.gather(
        *(room.create(room.ask(key=KEY), "One of sixty-four") for _ in range(64)), return_exceptions=True
    )
    assert sum(isinstance(answer, Answer) for answer in answers) >= 1
    assert await room.titles() == ["One of sixty-four"]


def test_changes_knows_no_request() -> None:
    """Otherwise only HTTP could have anything changed."""
    names = set[str]()
    for node in ast.walk(ast.parse((ROOT / "api/changes.py").read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    assert "core.ask" in names
    assert not {"blacksheep", "api.calls", "api.asks", "api.binding", "api.access"} & names
