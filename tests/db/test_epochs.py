"""Epochs in Postgres: the fence compares them, and an event's row says in which one it was written."""

from uuid import UUID

import asyncpg
import pytest

from core.commands import CreateTask, UpdateTask
from core.task import TaskFields, TaskPatch
from core.writes import Committed, FenceBroken, JournalPosition
from db import readmodel
from db.journal import relay_cursors
from db.journal.journal import PostgresJournal
from db.pool import Pools
from db.transaction import reading
from tests.support.team_writer import Writer, add_user, new_team

pytestmark = pytest.mark.anyio


@pytest.fixture
def journal(pools: Pools) -> PostgresJournal:
    return PostgresJournal(pools)


@pytest.fixture
async def owner(pools: Pools) -> UUID:
    return await add_user(pools)


async def rewrite(superuser: "asyncpg.Connection", writer: Writer, epoch: int) -> None:
    """As after a restore: what is written from here on is of another epoch."""
    await superuser.execute("update teams set epoch = $2 where id = $1", writer.team_id, epoch)
    await superuser.execute(
        "insert into team_epochs values ($1, $2, $3)", writer.team_id, epoch, writer.state.seq + 1
    )  # fmt: skip


async def test_a_writer_of_another_epoch_writes_nothing_and_others_commit(
    journal: PostgresJournal, owner: UUID, superuser: "asyncpg.Connection"
) -> None:
    rewritten, calm = [await new_team(journal, owner, 1) for _ in range(2)]
    await rewrite(superuser, rewritten, 2)
    batches = [writer.decided(CreateTask(TaskFields(title="late"))) for writer in (rewritten, calm)]
    assert await journal.commit(batches) == {
        rewritten.team_id: FenceBroken(3, rewritten=True),
        calm.team_id: Committed(),
    }
    async with journal.lock(rewritten.team_id) as locked:
        assert await locked.commit(batches[0]) == FenceBroken(3, rewritten=True)
    loaded = await journal.load(rewritten.team_id)
    assert loaded is not None
    assert (loaded.epoch, len(loaded.tasks)) == (2, 1)
    assert await journal.position([rewritten.team_id]) == {rewritten.team_id: JournalPosition(3, 2)}


async def test_each_event_is_of_the_epoch_it_was_written_in_whoever_reads_it(
    pools: Pools, journal: PostgresJournal, owner: UUID, superuser: "asyncpg.Connection"
) -> None:
    writer = await new_team(journal, owner, 1)
    task_id = next(iter(writer.state.tasks.values())).id
    for epoch in (2, 5):
        await rewrite(superuser, writer, epoch)
        writer.state.epoch = epoch
        for title in ("one", "two"):
            assert await writer.commit(journal, UpdateTask(task_id, TaskPatch(title=f"{title} {epoch}"))) == Committed()
    epochs = [1, 1, 1, 2, 2, 5, 5]
    assert [row.epoch for row in await journal.read(writer.team_id, 0)] == epochs
    assert [row.epoch for row in await journal.task_history(writer.team_id, task_id, 3)] == epochs[3:]
    assert [row.epoch for row in await readmodel.events_after(pools.api, owner, writer.team_id, 0, 10)] == epochs
    (page,) = await relay_cursors.read(pools.worker, [writer.team_id], per_team=100)
    assert [row.epoch for row in page.rows] == epochs


async def test_epochs_of_other_teams_are_not_shown(
    pools: Pools, journal: PostgresJournal, owner: UUID, superuser: "asyncpg.Connection"
) -> None:
    writer, stranger = await new_team(journal, owner), await add_user(pools, "Eve")
    await rewrite(superuser, writer, 2)
    async with reading(pools.api, stranger) as rows:
        assert await rows.fetch("select * from team_epochs") == []
    async with reading(pools.api, owner) as rows:
        assert len(await rows.fetch("select * from team_epochs")) == 1
