"""Small writers for the tests of the journal: decide, encode and commit without actors."""

import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import uuid_utils.compat as uu
from msgspec import structs

from core.codec import encode
from core.commands import AnyCommand, Asking, CreateTask, CreateTeam
from core.decide import decide
from core.events import TaskDeleted, TaskEvent
from core.principal import Principal
from core.task import TaskFields
from core.team import TeamState, evolve
from core.writes import CommitOutcome, Committed, KeyRow, RowChanges, StoredReply, TeamWrites, rows_of_events
from db.journal.journal import PostgresJournal
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from db.transaction import writing

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def spoilt(writes: TeamWrites, **fields: Any) -> TeamWrites:
    """The same writes with something wrong about their first task."""
    changes = writes.rows["task"]
    kept = (structs.replace(changes.kept[0], **fields), *changes.kept[1:])
    return structs.replace(writes, rows={**writes.rows, "task": structs.replace(changes, kept=kept)})


class Writer:
    """One process's view of one team. Every command happens a second after the one before it."""

    def __init__(self, owner: UUID) -> None:
        self.owner, self.state, self.ticks = owner, TeamState(), 0
        self.team_id = uu.uuid7()

    def asking(self) -> Asking:
        self.ticks += 1
        return Asking(Principal.of_user(self.owner), START + timedelta(seconds=self.ticks), uu.uuid7)

    def decided(self, *commands: AnyCommand, keys: Sequence[KeyRow] = (), traceparent: str = "") -> TeamWrites:
        """The writes of a batch; the state is not touched until `apply`."""
        draft, events = self.state.fork(), []
        for command in commands:
            for event in decide(draft, command, self.asking()):
                evolve(draft, event)
                events.append(event)
        encoded = [encode(event, traceparent, salt=os.urandom(16), epoch=self.state.epoch) for event in events]
        touched = dict.fromkeys(
            task_id
            for event in events
            if isinstance(event, TaskEvent | TaskDeleted)
            for task_id in (event.task.id, *getattr(event, "ranks", ()))
        )
        deleted = tuple(event.task.id for event in events if isinstance(event, TaskDeleted))
        tasks = tuple(task for i in touched if (task := draft.tasks.get(i) or draft.archived.get(i)) is not None)
        rows = rows_of_events(encoded, draft.columns)
        if touched:
            rows["task"] = RowChanges(tasks, deleted)
        return TeamWrites(
            self.team_id,
            self.state.epoch,
            self.state.seq,
            tuple(encoded),
            rows,
            tuple(keys),
        )

    def apply(self, writes: TeamWrites) -> None:
        archived = self.state.archived
        for encoded in writes.events:
            evolve(self.state, encoded.event)
        self.state.merge()
        self.state.archived = archived

    async def commit(self, journal: PostgresJournal, *commands: AnyCommand) -> CommitOutcome:
        writes = self.decided(*commands)
        outcome = (await journal.commit([writes]))[self.team_id]
        if outcome == Committed():
            self.apply(writes)
        return outcome


async def add_user(pools: Pools, name: str = "Ada") -> UUID:
    user_id = uu.uuid7()
    async with writing(pools.api, user_id) as rows:
        await rows.execute(
            "insert into users (id, email, name, created_at, updated_at) values ($1, $2, $3, $4, $4)",
            user_id, f"{user_id}@example.org", name, START,
        )  # fmt: skip
    return user_id


async def new_team(journal: PostgresJournal, owner: UUID, tasks: int = 0, key: str = "ENG") -> Writer:
    """A committed team with `tasks` tasks."""
    writer = Writer(owner)
    assert await writer.commit(journal, CreateTeam(writer.team_id, "Engines", key, "Ada")) == Committed()
    if tasks:
        commands = [CreateTask(TaskFields(title=f"Task {number}")) for number in range(1, tasks + 1)]
        assert await writer.commit(journal, *commands) == Committed()
    return writer


def key_row(principal: UUID, key: str, body: bytes = b'{"ok":true}', seq: int = 0) -> KeyRow:
    reply = StoredReply(201, (("Location", "/v1/tasks/1"), ("ETag", '"7"')), body, seq)
    return KeyRow(principal, key, hashlib.sha256(key.encode()).digest(), reply)


@asynccontextmanager
async def opened(database: DatabaseSettings) -> AsyncIterator[tuple[Pools, PostgresJournal]]:
    async with open_pools(database) as pools:
        yield pools, PostgresJournal(pools)
