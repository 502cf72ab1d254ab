"""The system's database as its superuser has it: what is true in it, and what an operator may do to it."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from taskforge.devstack.postgres import DATABASE, SUPERUSER, binaries, postgres_url
from tests.faults.ledger import Row
from tests.support.system import System

__all__ = ["Database"]

ALL_AT_ONCE = 8
"""Connections that are opened side by side."""
DEADLOCKS = 20
"""So often is a lock that meets another one tried again."""


class Database:
    def __init__(self, system: System) -> None:
        self._password = json.loads((system.data / "secrets.json").read_text())["postgres_password"]
        self._port = system.port("postgres")

    def url(self, name: str = DATABASE) -> str:
        return postgres_url(self._port, name, SUPERUSER, self._password)

    @asynccontextmanager
    async def connection(self, name: str = DATABASE) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.url(name), timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def heads(self) -> dict[str, tuple[int, int]]:
        """Epoch and seq of every team."""
        async with self.connection() as connection:
            rows = await connection.fetch("select id::text, epoch, seq from teams")
        return {row["id"]: (row["epoch"], row["seq"]) for row in rows}

    async def events(self, team: str, after: int) -> list[Row]:
        async with self.connection() as connection:
            rows = await connection.fetch(_EVENTS, team, after)
        return [Row(**row) for row in rows]

    async def effects(self, team: str, after: int, colleague: str) -> list[tuple[str, int, int]]:
        """Of every event after a seq that assigns a task to the colleague: its id, notifications, inbox rows."""
        async with self.connection() as connection:
            return [tuple(row) for row in await connection.fetch(_EFFECTS, team, after, colleague)]

    async def dump(self) -> bytes:
        command = [str(binaries() / "pg_dump"), "--format=custom", "--compress=0", f"--dbname={self.url()}"]
        done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        return done.stdout

    async def drop(self) -> None:
        """Throw everybody out, and leave an empty database of the same name."""
        async with self.connection("postgres") as connection:
            await connection.execute(f"drop database {DATABASE} with (force)")
            await connection.execute(f"create database {DATABASE}")

    async def restore(self, dump: bytes) -> None:
        """What a dump has, table by table, while everybody may look on."""
        command = [str(binaries() / "pg_restore"), "--exit-on-error", f"--dbname={self.url()}"]
        await asyncio.to_thread(subprocess.run, command, input=dump, check=True, capture_output=True)

    async def keep(self) -> None:
        """Remember all rows as they are now, beside them."""
        async with self.connection() as connection, connection.transaction(isolation="repeatable_read"):
            await connection.execute("drop schema if exists kept cascade; create schema kept")
            for table in await connection.fetch(_TABLES):
                await connection.execute(f"create table kept.{table[0]} as table public.{table[0]}")

    async def put_back(self) -> None:
        """All rows as they were kept, in the same tables of the same server: what nobody can tell but by the rows.

        So does a failover to a replica that lagged. Whoever reads several tables at that moment may meet their locks in
        another order: then it is tried again.
        """
        for attempt in range(DEADLOCKS):
            try:
                await self._put_back()
            except asyncpg.DeadlockDetectedError:
                if attempt == DEADLOCKS - 1:
                    raise
            else:
                return

    async def _put_back(self) -> None:
        async with self.connection() as connection, connection.transaction():
            names = [table[0] for table in await connection.fetch(_TABLES)]
            # No trigger, and no foreign key looked up row by row.
            await connection.execute("set local session_replication_role = replica")
            await connection.execute(f"truncate {', '.join(f'public.{name}' for name in names)}")
            for name in names:
                await connection.execute(f"insert into public.{name} overriding system value table kept.{name}")
            await connection.execute("drop schema kept cascade")

    @asynccontextmanager
    async def holding(self, statement: str, *arguments: object) -> AsyncIterator[None]:
        """A transaction that has run this statement and does nothing more."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute("set local lock_timeout = '5s'")
            await connection.fetch(statement, *arguments)
            yield

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """All connections of the server are taken, those of the system as well."""
        held: list[Any] = []
        try:
            async with self.connection("postgres") as connection:
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where usename like 'taskforge_%'"
                )
                while await self._take(held):
                    await asyncio.sleep(0)
            yield
        finally:
            await asyncio.gather(*[one.close(timeout=5) for one in held])

    async def _take(self, held: list[Any]) -> bool:
        """Open some more; whether there were any left."""
        tries = [asyncpg.connect(self.url("postgres"), timeout=10) for _ in range(ALL_AT_ONCE)]
        found = await asyncio.gather(*tries, return_exceptions=True)
        for one in found:
            if isinstance(one, asyncpg.TooManyConnectionsError):
                continue
            if isinstance(one, BaseException):
                raise one
            held.append(one)
        return not any(isinstance(one, BaseException) for one in found)


_EVENTS = """
select seq, type, subject_id::text as subject, payload::json #>> '{task,title}' as token
from task_events where team_id = $1::text::uuid and seq > $2 order by seq
"""
_EFFECTS = """
select named.event_id,
    (select count(*) from notifications n where n.event_id = named.event_id),
    (select count(*) from inbox i where i.consumer = 'notifications' and i.event_id = named.event_id)
from (
    select e.team_id || ':' || coalesce(
        (select max(p.epoch) from team_epochs p where p.team_id = e.team_id and p.from_seq <= e.seq), 1
    ) || ':' || e.seq as event_id
    from task_events e
    where e.team_id = $1::text::uuid and e.seq > $2 and e.type = 'task.updated'
        and payload::json #>> '{task,assignee_id}' = $3 and (payload::json -> 'previous')::jsonb ? 'assignee_id'
) named
"""
_TABLES = """
select format('%I', tablename) from pg_tables where schemaname = 'public' order by tablename
"""
