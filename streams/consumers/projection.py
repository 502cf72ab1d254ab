"""Ordered projections: what they write depends on the order of a team's events, so each event is applied exactly next.

A topic delivers events twice, late, or (after a failed attempt) out of turn. The position says what comes next: what is
older is ignored, and what is missing is read from the journal, which is the truth. Position and writes are one
transaction. An event that cannot be applied therefore holds up its own team only, until the effect is mended: the next
event of the team finds the gap and closes it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from core.codec import JournalRow
from db import projections
from db.pool import Pool
from db.projections import Position
from db.transaction import Writing, writing
from streams.consumers.plan import Handled, Handling
from streams.consumers.transactional import Effect

__all__ = ["Forget", "MissingEvent", "projected"]

PAGE: Final = 500

Forget = Callable[[Writing, UUID], Awaitable[None]]
"""Deletes what the projection holds of a team whose history was rewritten: it is built anew from the first event."""


class MissingEvent(Exception):
    """The journal does not hold the event that comes next, although the topic is further."""


def projected(pool: Pool, effect: Effect, forget: Forget) -> Handling:
    """Apply the event if it comes next; when some are missing, apply those of the journal, a page per transaction."""

    async def handle(consumer: str, row: JournalRow) -> Handled:
        handled: Handled = "passed"
        while True:
            async with writing(pool) as tx:
                position = await _current(tx, consumer, row, forget)
                if row.epoch < position.epoch or row.seq <= position.seq:
                    return handled
                handled = "applied"
                for next_row in await _next_rows(tx, row, position):
                    await effect(tx, next_row)
                    position = Position(next_row.seq, position.epoch)
                await projections.move(tx, consumer, row.team_id, position)
            if position.seq >= row.seq:
                return handled

    return handle


async def _current(tx: Writing, consumer: str, row: JournalRow, forget: Forget) -> Position:
    """The position in the history that the event belongs to: none of it is applied when the history is a new one."""
    position = await projections.hold(tx, consumer, row.team_id)
    if row.epoch <= position.epoch:
        return position
    await forget(tx, row.team_id)
    return Position(0, row.epoch)


async def _next_rows(tx: Writing, row: JournalRow, position: Position) -> Sequence[JournalRow]:
    if row.seq == position.seq + 1:
        return [row]
    rows = await projections.events_after(tx, row.team_id, position.seq, PAGE)
    expected = range(position.seq + 1, position.seq + 1 + len(rows))
    if not rows or [found.seq for found in rows] != [*expected]:
        raise MissingEvent(f"event {position.seq + 1} of team {row.team_id} is not in its journal")
    return rows
