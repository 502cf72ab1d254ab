"""How far each ordered projection is with each team, in the transaction of what it has written."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.codec import JournalRow
from db.journal.rows import journal_row
from db.journal.sql import READ
from db.transaction import Reading, Writing

__all__ = ["Position", "events_after", "hold", "move"]


class Position(Struct, frozen=True):
    """The last event applied: its `seq` (0: none yet), in which `epoch` of the team's history."""

    seq: int
    epoch: int


async def hold(tx: Writing, name: str, team_id: UUID) -> Position:
    """Where the projection is; nobody else can move it before the transaction ends."""
    row = await tx.fetchrow(_HOLD, name, team_id)
    assert row is not None
    return Position(row["seq"], row["epoch"])


async def move(tx: Writing, name: str, team_id: UUID, position: Position) -> None:
    """Everything up to `position` is applied."""
    await tx.execute(_MOVE, name, team_id, position.seq, position.epoch)


async def events_after(tx: Reading, team_id: UUID, seq: int, limit: int) -> Sequence[JournalRow]:
    """The team's next journal rows in order, at most `limit`."""
    return list(map(journal_row, await tx.fetch(READ, team_id, seq, limit)))


# The update changes nothing: it locks the row, which a plain "do nothing" would not.
_HOLD: Final = """
insert into projections as p (name, team_id) values ($1, $2)
on conflict (name, team_id) do update set seq = p.seq returning seq, epoch
"""
_MOVE: Final = "update projections set seq = $3, epoch = $4 where name = $1 and team_id = $2"
