"""Folding a team's journal into a spool, for a worker or an operator: up to one seq, in pages, off the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.checkpoints import Checkpoint
from core.errors import StorageUnavailable
from db.bootstrap.spool import Spool
from db.errors import storage_errors
from db.past.snapshots import drops
from db.pool import Pool
from db.projections import events_after
from db.transaction import Reading, reading

__all__ = ["Beginning", "begun", "folded", "still_stands", "teams_after"]

PAGE: Final = 500
"""Rows of the journal that are in memory at once."""


class Beginning(Struct, frozen=True):
    """Up to which `seq` a team is read, and how often its copies had been dropped before (`db/past/snapshots.py`)."""

    team_id: UUID
    seq: int
    made_after: int


async def begun(pool: Pool, team_id: UUID, seq: int | None = None, *, member: UUID | None = None) -> Beginning | None:
    """Where reading the team begins, up to its event `seq` or the last; `pool` is the worker's.

    None when there is no such team, nothing has happened in it, it has not come as far, or the `member` is none.
    """
    async with reading(pool, None, snapshot=True) as tx:
        head = await tx.fetchval(_HEAD, team_id, member)
        made_after = await drops(tx, team_id)
    if not head or (seq is not None and seq > head):
        return None
    return Beginning(team_id, head if seq is None else seq, made_after)


async def folded(
    pool: Pool, beginning: Beginning, spool: Spool, report: Callable[[float], None] = lambda _: None
) -> Checkpoint:
    """Fold the journal into a new spool; the checkpoint behind its last event. `report` hears shares from 0 to 1.

    Raises StorageUnavailable, also when a restore takes events away meanwhile.
    """
    while spool.seq < beginning.seq:
        async with reading(pool, None) as tx:
            limit = min(PAGE, beginning.seq - spool.seq)
            rows = await events_after(tx, beginning.team_id, spool.seq, limit)
        if not rows:
            raise StorageUnavailable("The team's history was restored while it was read.")
        await asyncio.to_thread(spool.take, rows)
        report(spool.seq / beginning.seq)
    return await asyncio.to_thread(spool.checkpoint)


async def still_stands(tx: Reading, beginning: Beginning, digest: bytes) -> bool:
    """Whether the journal still says what was read of it: nothing was forgotten meanwhile, and nothing taken back.

    `digest` is that of the last event which was read.
    """
    stands = await tx.fetchval(_STANDS, beginning.team_id, beginning.seq, digest)
    return bool(stands) and await drops(tx, beginning.team_id) == beginning.made_after


async def teams_after(pool: Pool, team_id: UUID, limit: int) -> Sequence[UUID]:
    """The next teams by id in which something has happened. Raises StorageUnavailable."""
    with storage_errors():
        return [row["id"] for row in await pool.fetch(_TEAMS, team_id, limit)]


_HEAD: Final = """
select t.seq from teams t
where t.id = $1 and t.deleted_at is null
  and ($2::uuid is null or exists (select from memberships m where m.team_id = t.id and m.user_id = $2))
"""
# The row at the seq proves which history was read: a restored team may have come there again.
_STANDS: Final = "select true from task_events where team_id = $1 and seq = $2 and digest = $3"
_TEAMS: Final = "select id from teams where id > $1 and seq > 0 and deleted_at is null order by id limit $2"
