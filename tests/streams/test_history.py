"""The part `history` keeps snapshots of the past, and redaction leaves none that holds what is forgotten."""

import zlib
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from core.codec import JournalRow
from core.commands import CreateTask, CreateTeam, DeleteTask, UpdateTask
from core.errors import StorageUnavailable
from core.task import TaskFields, TaskPatch
from db.ids import new_id
from db.object_store import ObjectStore, open_store
from db.past.snapshots import path_of
from db.pool import Pools
from db.settings import ObjectSettings
from db.snapshots import PACKED
from streams.consumers.history import history
from taskforge.parts import work
from taskforge.parts.names import API
from taskforge.parts.process import Process
from taskforge.settings import Settings
from taskforge.wiring import running
from tests.support.asking import by
from tests.support.past import board_of, fold_of
from tests.support.team_writer import add_user
from tests.support.waiting import until_answered
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

EVERY = 10
SECRET = "a secret that ends"


class Past:
    """A team, its changes, and the worker's objects."""

    def __init__(self, process: Process, store: ObjectStore, owner: UUID) -> None:
        self.process, self.store, self.owner, self.team = process, store, owner, new_id()

    async def ask(self, command: Any) -> Any:
        return await self.process.services.teams.ask(self.team, command, by(self.owner))

    async def task(self, title: str) -> UUID:
        made = await self.ask(CreateTask(TaskFields(title=title)))
        task_id: UUID = made.items[0].task.id
        return task_id

    async def titled(self, task_id: UUID, times: int) -> None:
        for number in range(times):
            await self.ask(UpdateTask(task_id, TaskPatch(title=f"{SECRET} {number}")))

    async def rows(self) -> list[JournalRow]:
        return list(await self.process.services.journal.read(self.team, 0, 1_000))

    async def places(self, pool: Any) -> list[int]:
        found = await pool.fetch(
            "select seq from board_snapshots where team_id = $1 and expires_at is null order by seq", self.team
        )
        return [row["seq"] for row in found]

    async def bytes(self) -> bytes:
        """All that the team has in the store, decompressed."""
        whole = b""
        for key in await self.store.keys(path_of(self.team)):
            data = b"".join([chunk async for chunk in await self.store.get(key)])
            whole += zlib.decompress(data[1:]) if data[:1] == PACKED else data
        return whole


@pytest.fixture
def with_objects(settings: Settings, tmp_path: Path) -> Settings:
    return structs.replace(settings, objects=ObjectSettings(url=f"file://{tmp_path}/objects"))


@pytest.fixture
async def past(with_objects: Settings) -> AsyncIterator[Past]:
    store = open_store(with_objects.objects)
    assert store is not None
    async with running(with_objects, API) as process:
        owner = await add_user(process.pools)
        made = Past(process, store, owner)
        await made.ask(CreateTeam(made.team, "Team", "TEAM", "Ada"))
        yield made


async def read(past: Past, seq: int) -> Any:
    async with past.process.services.past.at(past.owner, past.team, seq) as state:
        return board_of(state)


async def test_snapshots_come_with_the_events_and_go_with_what_is_forgotten(
    past: Past, with_objects: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    frequent = {**work.CONSUMERS, "history": lambda made: history(made.pools.worker, made.objects, every=EVERY)}
    monkeypatch.setattr(work, "CONSUMERS", frequent)
    await past.task("First")
    async with working(with_objects) as worker:
        pool = worker.pools.worker
        task_id = await past.task(SECRET)
        await past.titled(task_id, 2 * EVERY)

        async def at(*places: int) -> bool:
            return await past.places(pool) == list(places)

        await until_answered(lambda: at(EVERY, 2 * EVERY))
        assert await read(past, 2 * EVERY) == board_of(fold_of((await past.rows())[: 2 * EVERY]))
        before = await past.store.keys(path_of(past.team))
        await past.ask(DeleteTask(task_id))

        async def redacted() -> bool:
            return any(row.type == "history.redacted" for row in await past.rows())

        await until_answered(redacted)
        await until_answered(lambda: at(EVERY, 2 * EVERY))
        after = await past.store.keys(path_of(past.team))
        assert not set(before) & set(after), "all of them are other objects now"
        assert SECRET.encode() not in await past.bytes()
        assert SECRET not in repr(await read(past, 2 * EVERY))
        assert consumer_of(worker, "history").dead == 0


async def test_an_event_that_is_delivered_again_finds_nothing_to_do(past: Past, with_objects: Settings) -> None:
    task_id = await past.task("First")
    await past.titled(task_id, EVERY)
    plan = history(past.process.pools.worker, past.store, every=EVERY)
    rows = await past.rows()
    handled = [await plan.handle(plan.name, row) for row in (*rows, rows[EVERY - 1], rows[0])]
    assert handled.count("applied") == 1
    assert handled[EVERY - 1] == "applied"


async def test_much_in_few_events_has_snapshots_as_well(past: Past) -> None:
    task_id = await past.task("First")
    await past.titled(task_id, 4 * EVERY)
    rows = await past.rows()
    most = 4 * max(len(row.payload) for row in rows)
    plan = history(past.process.pools.worker, past.store, every=10_000, every_bytes=most)
    handled = [await plan.handle(plan.name, row) for row in rows]
    places = await past.places(past.process.pools.worker)
    assert len(places) == handled.count("applied") >= 3
    assert handled.count("passed") > len(rows) / 2, "the journal is not asked at each event"
    read_at_once = [sum(len(row.payload) for row in rows[a:b]) for a, b in pairwise((0, *places))]
    assert max(read_at_once) < most + most / 4


async def test_without_a_store_there_is_nothing_to_keep(past: Past) -> None:
    task_id = await past.task("First")
    await past.titled(task_id, EVERY)
    plan = history(past.process.pools.worker, None, every=EVERY)
    assert {await plan.handle(plan.name, row) for row in await past.rows()} == {"passed"}


async def test_a_database_that_is_away_is_waited_for(past: Past, pools: Pools) -> None:
    task_id = await past.task("First")
    await past.titled(task_id, EVERY)
    plan = history(pools.worker, past.store, every=EVERY)
    (row,) = [row for row in await past.rows() if row.seq == EVERY]
    await pools.worker.close()
    with pytest.raises(StorageUnavailable):
        await plan.handle(plan.name, row)
