"""Who replays much takes turns with others who do; who is nearly there waits for nobody."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from core.codec import JournalRow
from streams.feeds import replays
from streams.feeds.replays import PAGE_ROWS, Replays
from tests.support.journal_writer import NOW
from tests.support.memory_ports import MemoryJournal
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Rows(MemoryJournal):
    """A journal that has as many rows as it is told to have after any place."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows_each = rows

    async def read(self, team_id: UUID, after: int, limit: int = 1000) -> Sequence[JournalRow]:
        row = JournalRow(team_id, after, "task.updated", team_id, team_id, NOW, "", b"{}")
        return [row] * min(self.rows_each, limit)


async def test_full_pages_come_one_after_the_other_and_others_are_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[asyncio.Future[None]] = []

    async def pausing(_seconds: float) -> None:
        pauses.append(asyncio.get_running_loop().create_future())
        await pauses[-1]

    many, team = Replays(Rows(10 * PAGE_ROWS)), uuids.uuid7()
    monkeypatch.setattr(replays, "pause", pausing)
    readers = [asyncio.ensure_future(many.page(team, 0)) for _ in range(3)]
    for number in range(3):
        await until(lambda number=number: len(pauses) == number + 1)  # type: ignore[misc]
        assert [reader.done() for reader in readers].count(True) == number
        pauses[number].set_result(None)
    assert [len(rows) for rows in await asyncio.gather(*readers)] == [PAGE_ROWS] * 3
    assert len(await Replays(Rows(PAGE_ROWS - 1)).page(team, 0)) == PAGE_ROWS - 1
    assert len(pauses) == 3
