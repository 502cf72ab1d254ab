"""A team system on in-memory ports, and shorthands for asking it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuids
from msgspec import structs

from actors.envelope import CommandResult, Render
from actors.settings import ActorSettings
from actors.system import Freed, TeamSystem, nothing_to_do
from core.ask import Ask
from core.commands import AddMember, CreateTask, CreateTeam, UpdateTask
from core.errors import DomainError
from core.permissions import Role
from core.task import TaskFields, TaskPatch
from core.writes import StoredReply, TeamWrites
from tests.support.asking import by
from tests.support.memory_ports import ManualClock, MemoryJournal, MemorySnapshots, RecordingFeed
from tests.support.representations import LISTS

OWNER = UUID("019a0000-0000-7000-8000-000000000001")
MEMBER = UUID("019a0000-0000-7000-8000-000000000002")
STRANGER = UUID("019a0000-0000-7000-8000-000000000003")


class Ports:
    """The outside of a team system; two systems on the same ports are two processes."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.snapshots = MemorySnapshots()
        self.feed = RecordingFeed()
        self.clock = ManualClock()

    @asynccontextmanager
    async def system(self, *, freed: Freed = nothing_to_do, **settings: Any) -> AsyncIterator[TeamSystem]:
        system = TeamSystem(
            journal=self.journal,
            snapshots=self.snapshots,
            feed=self.feed,
            clock=self.clock,
            new_id=uuids.uuid7,
            settings=structs.replace(ActorSettings(), **settings),
            freed=freed,
        )
        async with system.running():
            yield system


async def new_team(system: TeamSystem, *, role: Role = "member") -> UUID:
    """A team with an owner and one more member."""
    team_id = uuids.uuid7()
    await system.ask(team_id, CreateTeam(team_id, "Engineering", "ENG", "Ada"), by(OWNER))
    await system.ask(team_id, AddMember(MEMBER, "Bob", role), by(OWNER))
    return team_id


async def new_task(system: TeamSystem, team_id: UUID, title: str = "A task", **fields: Any) -> UUID:
    result = await system.ask(team_id, CreateTask(TaskFields(title=title, **fields)), by(OWNER))
    return result.items[0].task.id


def stored(answer: CommandResult | DomainError) -> StoredReply:
    """Says what was answered."""
    if isinstance(answer, DomainError):
        return StoredReply(409, (), answer.code.encode(), 0)
    return StoredReply(200, (), answer.items[0].encoded(LISTS) if answer.items else b"", answer.seq)


async def retitle(
    system: TeamSystem, team_id: UUID, task_id: UUID, title: str, ask: Ask | None = None, render: Render = stored
) -> CommandResult:
    return await system.ask(team_id, UpdateTask(task_id, TaskPatch(title=title)), ask or by(OWNER), render)


def failing_once(ports: Ports, error: type[Exception] | Exception, *, after: bool) -> None:
    """The next commit raises, before or after it was written."""

    def fail(batches: Sequence[TeamWrites]) -> None:
        ports.journal.before_commit = ports.journal.after_commit = None
        raise error

    if after:
        ports.journal.after_commit = fail
    else:
        ports.journal.before_commit = fail


async def some_turns() -> None:
    """Let everything happen that does not wait for the journal's gate."""
    for _ in range(10):
        await asyncio.sleep(0)


async def stuck(ports: Ports, asking: Coroutine[Any, Any, CommandResult]) -> "asyncio.Task[CommandResult]":
    """Asks, and comes back when the commit of it waits at the journal's closed gate."""
    ports.journal.gate.clear()
    task = asyncio.create_task(asking)
    await some_turns()
    return task


def keyed(key: str, fingerprint: bytes = b"one", principal: UUID = OWNER) -> Ask:
    """An ask under an idempotency key."""
    return by(principal, key=key, fingerprint=hashlib.sha256(fingerprint).digest())
