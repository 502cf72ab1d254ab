"""The audit of dead letters: who had which of them tried again, when and why.

The letters themselves are on the broker (`streams/dead_letters`). A letter is known by its place in a topic, which
means something in one life of the broker only.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.codec import JournalRow
from db.pool import Pool
from db.projections import events_after
from db.slices import delete_in_slices
from db.transaction import Writing, reading, writing

__all__ = ["Mark", "Place", "Replay", "begin", "end", "event", "forget_old_replays", "marked", "marks", "newest"]

KEPT_DAYS: Final = 366

Place = tuple[int, int]
"""Partition and offset of a dead letter in the topic of its consumer."""


class Replay(Struct, frozen=True, kw_only=True):
    """One replay: `letters` were sent again by `ended_at`. Without that it was cut off, or is under way."""

    id: UUID
    who: str
    why: str
    wanted: str
    at: datetime | None = None
    letters: int = 0
    ended_at: datetime | None = None


class Mark(Struct, frozen=True):
    """When and by whom a dead letter was sent again, last."""

    at: datetime
    who: str
    replay_id: UUID


async def begin(pool: Pool, replay: Replay) -> None:
    """Put down that it begins, before anything is sent. Raises StorageUnavailable."""
    async with writing(pool) as tx:
        await tx.execute(_BEGIN, replay.id, replay.who, replay.why, replay.wanted)


async def marked(pool: Pool, replay_id: UUID, incarnation: str, consumer: str, places: Sequence[Place]) -> None:
    """These letters were sent again. Raises StorageUnavailable."""
    async with writing(pool) as tx:
        partitions, positions = [place[0] for place in places], [place[1] for place in places]
        await tx.execute(_MARK, incarnation, consumer, partitions, positions, replay_id)


async def end(pool: Pool, replay_id: UUID) -> None:
    """All of them were sent. Raises StorageUnavailable."""
    async with writing(pool) as tx:
        await tx.execute(_END, replay_id)


async def marks(pool: Pool, incarnation: str, consumer: str, first: int = 0) -> Mapping[Place, Mark]:
    """The consumer's letters from the offset `first` on that were sent again. Raises StorageUnavailable."""
    async with reading(pool, None) as tx:
        found = await tx.fetch(_MARKS, incarnation, consumer, first)
    return {(row["partition"], row["position"]): Mark(row["at"], row["who"], row["replay_id"]) for row in found}


async def newest(pool: Pool, limit: int) -> Sequence[Replay]:
    """The newest replays, newest first. Raises StorageUnavailable."""
    async with reading(pool, None) as tx:
        return [Replay(**dict(row.items())) for row in await tx.fetch(_NEWEST, limit)]


async def event(pool: Pool, team_id: UUID, seq: int) -> JournalRow | None:
    """What the journal says today of a team's event, which may have been redacted. Raises StorageUnavailable."""
    async with reading(pool, None) as tx:
        found = await events_after(tx, team_id, seq - 1, 1)
    return found[0] if found and found[0].seq == seq else None


async def forget_old_replays(pool: Pool) -> int:
    """Delete what is older than a year; how many replays there were. Raises StorageUnavailable."""

    async def forget(tx: Writing, limit: int) -> int:
        return await tx.execute(_FORGET, KEPT_DAYS, limit)

    return await delete_in_slices(pool, forget)


_BEGIN: Final = "insert into dead_letter_replays (id, who, why, wanted) values ($1, $2, $3, $4)"
_MARK: Final = """
insert into replayed_dead_letters (incarnation, consumer, partition, position, replay_id)
select $1, $2, place.partition, place.position, $5
from unnest($3::integer[], $4::bigint[]) as place (partition, position)
on conflict (incarnation, consumer, partition, position) do update set replay_id = excluded.replay_id
"""
_END: Final = """
update dead_letter_replays replay set ended_at = now(),
    letters = (select count(*) from replayed_dead_letters sent where sent.replay_id = replay.id)
where replay.id = $1
"""
_MARKS: Final = """
select letter.partition, letter.position, letter.replay_id, replay.at, replay.who
from replayed_dead_letters letter join dead_letter_replays replay on replay.id = letter.replay_id
where letter.incarnation = $1 and letter.consumer = $2 and letter.position >= $3
"""
_NEWEST: Final = """
select id, who, why, wanted, at, letters, ended_at from dead_letter_replays order by at desc, id desc limit $1
"""
_FORGET: Final = """
delete from dead_letter_replays where id in (
    select id from dead_letter_replays where at < now() - make_interval(days => $1) limit $2
)
"""
