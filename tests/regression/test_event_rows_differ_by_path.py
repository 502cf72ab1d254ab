"""The payload became text in the journal, and the user's reads of it were forgotten: bytes by one path, str by another.

`records.neighbours` looks for bytes in a payload and raised at the rows of `readmodel`.
"""

import pytest

from core.commands import MoveTask
from core.writes import Committed
from db import readmodel
from db.journal import relay_cursors
from db.journal.journal import PostgresJournal
from db.pool import Pools
from streams.relay.records import neighbours
from tests.support.team_writer import add_user, new_team

pytestmark = pytest.mark.anyio


async def test_an_event_is_the_same_row_whoever_reads_it(pools: Pools) -> None:
    journal, owner = PostgresJournal(pools), await add_user(pools)
    writer = await new_team(journal, owner, 3)
    first, *_, last = (task.id for task in writer.state.tasks.values())
    writes = writer.decided(MoveTask(task_id=last, before_id=first))
    assert await journal.commit([writes]) == {writer.team_id: Committed()}
    written = [event.row for event in writes.events]
    (page,) = await relay_cursors.read(pools.worker, [writer.team_id], per_team=100)
    async with journal.lock(writer.team_id) as locked:
        under_the_lock = await locked.read(5)
    assert list(page.rows[5:]) == written
    assert under_the_lock == written
    assert await journal.read(writer.team_id, 5) == written
    assert await journal.task_history(writer.team_id, last, 5) == written
    assert await readmodel.events_after(pools.api, owner, writer.team_id, 5, 10) == written
    assert await readmodel.task_activity(pools.api, owner, writer.team_id, last, limit=1) == written


async def test_the_relay_understands_rows_that_were_read_for_a_user(pools: Pools) -> None:
    journal, owner = PostgresJournal(pools), await add_user(pools)
    writer = await new_team(journal, owner, 3)
    assert neighbours(await readmodel.events_after(pools.api, owner, writer.team_id, 0, 10)) == set()
