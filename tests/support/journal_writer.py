"""Writes teams and journals the way the committer does, one transaction per batch, for tests of what follows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import asyncpg
import uuid_utils.compat as uuids
from msgspec import structs

from core.codec import Encoded, encode
from core.columns import default_column_id
from core.events import AnyEvent, DeletedTask, TaskCreated, TaskDeleted, TaskUpdated
from core.task import NO_COLUMN, Task

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SOMEBODY = UUID(int=7)
SALT = bytes(range(16))

_FIELDS = ("team_id", "seq", "type", "subject", "actor_id", "traceparent", "at", "salt", "digest", "schema_version")
_INSERT = """
insert into task_events
    (team_id, seq, type, subject_id, actor_id, traceparent, at, salt, digest, schema_version, payload)
select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::timestamptz[],
                     $8::bytea[], $9::bytea[], $10::smallint[], $11::text[])
"""


def a_task(team_id: UUID, number: int = 1, **fields: object) -> Task:
    """A task as it was created at version `number`, unless told otherwise."""
    task = Task(
        id=uuids.uuid7(),
        team_id=team_id,
        number=number,
        key=f"TEAM-{number}",
        title=f"Task {number}",
        rank="a0",
        created_by=SOMEBODY,
        created_at=NOW,
        updated_at=NOW,
        version=number,
    )
    task = structs.replace(task, **fields)
    if task.column_id is NO_COLUMN:
        return structs.replace(task, column_id=default_column_id(team_id, task.status))
    return task


def created(task: Task, seq: int, actor_id: UUID = SOMEBODY, **fields: Any) -> TaskCreated:
    task = structs.replace(task, version=seq)
    return TaskCreated(team_id=task.team_id, seq=seq, actor_id=actor_id, at=NOW, task=task, **fields)


def updated(
    task: Task, seq: int, actor_id: UUID = SOMEBODY, ranks: dict[UUID, str] | None = None, **previous: object
) -> TaskUpdated:
    task = structs.replace(task, version=seq)
    return TaskUpdated(
        team_id=task.team_id, seq=seq, actor_id=actor_id, at=NOW, task=task, previous=previous, ranks=ranks or {}
    )


def deleted(task: Task, seq: int, actor_id: UUID = SOMEBODY) -> TaskDeleted:
    gone = DeletedTask(id=task.id, team_id=task.team_id, number=task.number, key=task.key)
    return TaskDeleted(team_id=task.team_id, seq=seq, actor_id=actor_id, at=NOW, task=gone)


class JournalWriter:
    """Writes as a superuser over a pool of its own."""

    def __init__(self, pool: "asyncpg.Pool") -> None:
        self.pool = pool

    async def team(self, team_id: UUID | None = None) -> UUID:
        """A new team at seq 0."""
        team_id = uuids.uuid7() if team_id is None else team_id
        await self.pool.execute(
            "insert into teams (id, name, key, created_by, created_at, updated_at, version)"
            " values ($1, 'Team', 'TEAM', $2, now(), now(), 0)",
            team_id,
            SOMEBODY,
        )
        return team_id

    async def member(self, team_id: UUID, user_id: UUID) -> UUID:
        """A user who belongs to the team."""
        await self.pool.execute(
            "insert into users (id, email, name, created_at, updated_at) values ($1, $2, 'Somebody', now(), now())"
            " on conflict do nothing",
            user_id,
            f"{user_id}@example.org",
        )
        await self.pool.execute(
            "insert into memberships (team_id, user_id, role, name, joined_at)"
            " values ($1, $2, 'member', 'Somebody', now())",
            team_id,
            user_id,
        )
        return user_id

    async def commit(self, events: Sequence[AnyEvent], traceparent: str = "") -> list[Encoded]:
        """Contiguous events of one team, at the seq they carry."""
        encoded = [encode(event, traceparent, salt=SALT) for event in events]
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("update teams set seq = $2 where id = $1", events[0].team_id, events[-1].seq)
            await self.insert(connection, encoded)
        return encoded

    async def append(self, team_id: UUID, count: int) -> list[Encoded]:
        """`count` creations after whatever the team has, under the team's lock, as concurrent writers do it."""
        async with self.pool.acquire() as connection, connection.transaction():
            head = await connection.fetchval(
                "update teams set seq = seq + $2 where id = $1 returning seq", team_id, count
            )
            first = head - count + 1
            encoded = [encode(created(a_task(team_id, seq), seq), salt=SALT) for seq in range(first, head + 1)]
            await self.insert(connection, encoded)
        return encoded

    async def insert(self, connection: "asyncpg.Connection", encoded: Sequence[Encoded]) -> None:
        fields = attrgetter(*_FIELDS)
        rows = [(*fields(event.row), event.row.payload.decode()) for event in encoded]
        columns = zip(*rows, strict=True)
        await connection.execute(_INSERT, *map(list, columns))

    async def age(self, interval: str) -> None:
        """Have everything happened so long ago. History can be changed by nobody, not even who has every right."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            await connection.execute("update task_events set at = now() - $1::text::interval", interval)

    async def cursor(self, team_id: UUID) -> int:
        """How far the team has been published."""
        found = await self.pool.fetchval("select published_seq from relay_cursors where team_id = $1", team_id)
        return found or 0

    async def head(self, team_id: UUID) -> int:
        """The team's seq."""
        return await self.pool.fetchval("select seq from teams where id = $1", team_id)

    async def store(self, tasks: Sequence[Task]) -> None:
        """Rows of the tasks table as they are now."""
        names = [name for name in Task.__struct_fields__ if name != "key"]
        values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
        await self.pool.executemany(
            f"insert into tasks ({', '.join(names)}) values ({values})",
            [[getattr(task, name) for name in names] for task in tasks],
        )
