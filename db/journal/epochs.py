"""Histories: noticing that the database is on another one than before, and raising the epochs of its teams.

A restore takes teams back. What the lost history had is known outside: in memories, feeds, topics and warehouses. So
each team gets a new epoch, in which its next event says from where on the old one does not count.
"""

import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from core.events import TeamRestored
from db.highest_epoch import HighestEpoch
from db.history_sql import MOVED, RESTORED
from db.pool import Pool
from db.transaction import reading, writing

__all__ = [
    "SLICE",
    "accept_history",
    "declare_restored",
    "history_of",
    "note_lost_history",
    "notice_restore",
    "raise_due_epochs",
]

logger = logging.getLogger(__name__)

SLICE: Final = 500
"""Teams whose epochs are raised in one transaction."""

_ACCEPTED: Final = MOVED + "select count(*) from moved"  # noqa: S608 (the text above)
_ALL_DUE: Final = "insert into epochs_due select id from teams on conflict do nothing"
# A team's row is looked at under its lock: its epoch may just be rising, and is not to rise twice for one loss.
_ONE_DUE: Final = """
with behind as materialized (
    select id from teams where id = $1 and (epoch, seq) < ($2, $3) for share
)
insert into epochs_due (team_id, above_epoch) select id, $2 from behind
on conflict (team_id) do update set above_epoch = greatest(epochs_due.above_epoch, excluded.above_epoch)
"""

_RAISE: Final = """
with due as materialized (
    select t.id, d.above_epoch, d.from_seq from teams t join epochs_due d on d.team_id = t.id
    where t.id in (
        select team_id from epochs_due where $3::uuid is null or team_id = $3 order by team_id limit $1
    )
    order by t.id for no key update of t, d skip locked
), same as (
    -- Those that are left were lost by the same restore: an epoch that is given here is none that they had.
    update epochs_due set above_epoch = greatest($4, 1) where team_id in (
        select team_id from epochs_due where above_epoch = 0 and team_id not in (select id from due)
        for update skip locked
    )
), raised as (
    update teams t set epoch = greatest(t.epoch, case d.above_epoch when 0 then $4 else d.above_epoch end) + 1,
        seq = t.seq + 1
    from due d where t.id = d.id
    returning t.id, t.epoch, t.seq, t.created_by, least(coalesce(d.from_seq, t.seq), t.seq) as from_seq
), noted as (
    insert into team_epochs (team_id, epoch, from_seq) select id, epoch, from_seq from raised
), told as (
    insert into task_events (team_id, seq, type, subject_id, actor_id, at, traceparent, payload, actor_kind)
    select id, seq, $2, id, created_by, now(), '', format('{"epoch":%s,"from_seq":%s}', epoch, from_seq), 'system'
    from raised
)
delete from epochs_due d using raised r where d.team_id = r.id returning d.team_id, r.epoch
"""


async def notice_restore(pool: Pool) -> int:
    """Whether the database is on another history than when it was last asked; how many teams need a new epoch for it.

    For the writer's pool. Raises StorageUnavailable.
    """
    async with writing(pool) as tx:
        teams = await tx.execute(RESTORED)
    if teams:
        logger.warning("the database is on another history: %d teams get a new epoch", teams)
    return teams


async def history_of(pool: Pool) -> tuple[int, int]:
    """The oids of the database and of its journal: others, and every table may be another one than before.

    Raises StorageUnavailable.
    """
    async with reading(pool, None) as tx:
        row = await tx.fetchrow("select database_oid, journal_oid from current_history()")
    assert row is not None, "a function that always has a row"
    return int(row["database_oid"]), int(row["journal_oid"])


async def accept_history(pool: Pool) -> bool:
    """Note that the database is on the history it says and has lost nothing; whether that was another one.

    Raises StorageUnavailable.
    """
    async with writing(pool) as tx:
        return bool(await tx.fetchval(_ACCEPTED))


async def declare_restored(pool: Pool) -> int:
    """Have all teams get a new epoch, whatever the database looks like; how many. Raises StorageUnavailable."""
    async with writing(pool) as tx:
        await tx.execute(MOVED + "select from moved")
        return await tx.execute(_ALL_DUE)


async def note_lost_history(pool: Pool, team_id: UUID, epoch: int, seq: int) -> bool:
    """A team was at `seq` of this epoch, and the database has it at less: have it get a new epoch; whether that is so.

    The new epoch is above this one, even where the database has not reached it either.

    Raises StorageUnavailable.
    """
    async with writing(pool) as tx:
        lost = bool(await tx.execute(_ONE_DUE, team_id, epoch, seq))
    if lost:
        logger.warning("team %s was at seq %d of epoch %d and is behind it: it gets a new epoch", team_id, seq, epoch)
    return lost


async def raise_due_epochs(
    pool: Pool, team_id: UUID | None = None, *, highest: HighestEpoch | None = None
) -> Sequence[UUID]:
    """Raise the epochs of a slice of the teams that need it, or of this one, each with its event; which.

    A team of whose lost epochs nothing is known gets one above the `highest` that was ever given.

    When it is empty, none are left but those that another process is raising.

    Several processes may do so at once. For the writer's pool. Raises StorageUnavailable.
    """
    async with writing(pool) as tx:
        rows = await tx.fetch(_RAISE, SLICE, TeamRestored.type, team_id, 0 if highest is None else highest.value)
    if rows and highest is not None:
        await highest.give(max(row["epoch"] for row in rows))
    return [row["team_id"] for row in rows]
