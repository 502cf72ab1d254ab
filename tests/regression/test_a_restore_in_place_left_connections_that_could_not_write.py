"""`pg_restore --clean` under a running process makes tables and types anew, and no connection is lost by it.

Those that were open went on to name types that were gone: no change could be made any more until the process ended. And
one that had not named them yet wrote for up to three seconds into a history that nobody had noticed.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import asyncpg
import pytest
from msgspec import Struct

from api.services import Services
from core.commands import CreateTask, CreateTeam
from core.errors import StorageUnavailable
from core.query import TaskQuery
from core.task import TaskFields
from db import readmodel
from db.journal.epochs import history_of
from db.people.sessions import Client
from db.pool import Pool
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from taskforge.devstack.postgres import binaries
from taskforge.parts import history_watch
from taskforge.parts.names import API
from taskforge.wiring import running
from tests.support.asking import by
from tests.support.databases import superuser_url
from tests.support.epochs import remembering
from tests.support.site import settings_for

pytestmark = pytest.mark.anyio

TRIES = 5
T = TypeVar("T")


class Room(Struct):
    services: Services
    owner: UUID
    team: UUID

    async def write(self, title: str) -> list[tuple[int, int]]:
        made = await self.services.teams.ask(self.team, CreateTask(TaskFields(title=title)), by(self.owner))
        return [(event.row.epoch, event.row.seq) for event in made.events]

    async def read(self) -> tuple[list[str], list[int]]:
        """By SQL, as the owner: the titles of tasks and the seqs of events."""
        pool = self.services.pools.api
        page = await readmodel.list_tasks(pool, self.owner, TaskQuery(sort="title", descending=False))
        events = await readmodel.events_after(pool, self.owner, self.team, 0, 100)
        return [task.title for task in page.tasks], [row.seq for row in events]


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """As a client does that is told to try again; the parts that look from time to time do not."""
    for _ in range(TRIES - 1):
        try:
            return await ask()
        except StorageUnavailable:
            continue
    return await ask()


@pytest.fixture
async def room(database: DatabaseSettings, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    monkeypatch.setattr(history_watch, "LOOK_SECONDS", 3_600.0)
    async with running(settings_for(database, valkey_url), API) as process:
        services = process.services
        owner = (await services.identity.sign_up("ada@example.com", "Ada", "hash", Client())).principal.user_id
        team = services.new_id()
        await services.teams.ask(team, CreateTeam(team, "Engineering", "ENG", "Ada"), by(owner))
        room = Room(services, owner, team)
        await room.write("kept")
        yield room


async def test_after_a_restore_in_place_a_process_goes_on_in_a_new_epoch(
    room: Room, services: DevStack, database: DatabaseSettings, superuser: "asyncpg.Connection"
) -> None:
    url = f"--dbname={superuser_url(services, database)}"
    dumped = await called("pg_dump", "--format=custom", url)
    await room.write("lost")
    await room.write("lost, too")
    await room.read()
    await called("pg_restore", "--clean", "--if-exists", "--exit-on-error", url, given=dumped)
    assert await insist(lambda: room.write("goes on")) == [(2, 5)]
    assert await insist(room.read) == (["goes on", "kept"], [1, 2, 3, 4, 5])
    rows = await superuser.fetch("select seq, type from task_events order by seq")
    assert [row["type"] for row in rows[3:]] == ["team.restored", "task.created"]


async def test_a_process_that_has_noticed_keeps_no_connection_with_plans_of_tables_that_are_gone(
    room: Room, services: DevStack, database: DatabaseSettings, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them answered one more request with 503, however long after the restore."""
    monkeypatch.setattr(history_watch, "LOOK_SECONDS", 0.01)
    known = asyncio.Event()

    async def heard(pool: Pool) -> tuple[int, int]:
        found = await history_of(pool)
        known.set()
        return found

    monkeypatch.setattr(history_watch, "history_of", heard)
    pools = room.services.pools
    async with remembering(valkey_url) as highest:
        watching = asyncio.create_task(history_watch.watch_history(pools, highest))
        try:
            url = f"--dbname={superuser_url(services, database)}"
            dumped = await called("pg_dump", "--format=custom", url)
            await known.wait()
            await asyncio.gather(*(room.read() for _ in range(8)))
            before = await pools.api.fetchval("select pg_backend_pid()")
            await called("pg_restore", "--clean", "--if-exists", "--exit-on-error", url, given=dumped)

            async def replaced() -> bool:
                try:
                    return bool(await pools.api.fetchval("select pg_backend_pid()") != before)
                except asyncpg.PostgresError:
                    return False

            async with asyncio.timeout(10):
                while not await replaced():
                    await asyncio.sleep(0.01)
            await asyncio.gather(*(room.read() for _ in range(8)))
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def test_a_connection_from_before_the_restore_writes_nothing_into_what_nobody_has_noticed(
    room: Room, superuser: "asyncpg.Connection"
) -> None:
    await superuser.execute("update installation set journal_oid = journal_oid + 1")
    with pytest.raises(StorageUnavailable):
        await room.write("too early")
    assert await superuser.fetchval("select type from task_events where seq = 4") == "team.restored"
    assert await room.write("goes on") == [(2, 5)]


async def test_a_dump_restored_once_more_gets_an_epoch_above_those_of_the_time_in_between(
    room: Room, services: DevStack, database: DatabaseSettings, valkey_url: str
) -> None:
    """It was the same epoch again: nobody who was still there remembered it, and event ids named two contents."""
    url = f"--dbname={superuser_url(services, database)}"
    dumped = await called("pg_dump", "--format=custom", url)
    for epoch in (2, 3, 4):
        await called("pg_restore", "--clean", "--if-exists", "--exit-on-error", url, given=dumped)
        async with running(settings_for(database, valkey_url), API) as process:
            again = Room(process.services, room.owner, room.team)
            assert await insist(lambda again=again: again.write("goes on")) == [(epoch, 5)]  # type: ignore[misc]


async def called(program: str, *arguments: str, given: bytes = b"") -> bytes:
    command = [str(binaries() / program), *arguments]
    done = await asyncio.to_thread(subprocess.run, command, input=given, check=True, capture_output=True)
    return done.stdout
