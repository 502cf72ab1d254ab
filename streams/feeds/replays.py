"""Pages of the journal for readers who are behind, so that those who replay much leave time for everybody else."""

import asyncio
from asyncio import sleep as pause
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from core.codec import JournalRow
from streams.feeds.ports import History

__all__ = ["PAGE_ROWS", "Replays"]

PAGE_ROWS: Final = 64
PAUSE_SECONDS: Final = 0.01
"""After each full page, of all readers together: a worker replays some 6,000 events a second. Three feeds that replayed
50,000 events as fast as they could were all that it did meanwhile."""


class Replays:
    """The replays of one process."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._turn = asyncio.Lock()

    async def page(self, team_id: UUID, after: int) -> Sequence[JournalRow]:
        """The rows after a place; who gets a full page, and will come again, waits for a turn first."""
        rows = await self._history.read(team_id, after, PAGE_ROWS)
        if len(rows) == PAGE_ROWS:
            async with self._turn:
                await pause(PAUSE_SECONDS)
        return rows
