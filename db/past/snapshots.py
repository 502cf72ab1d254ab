"""The rows of snapshots. A row comes before its object and goes after it, so that no object is without a row."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.ids import new_id
from db.object_store import ObjectStore, Stored
from db.pool import Pool
from db.transaction import Reading, Writing, reading, writing

__all__ = ["Snapshot", "complete", "drops", "expire_stale", "forget_expired", "kept", "newest", "path_of", "reserve"]

AT_ONCE: Final = 100
UNFINISHED_SECONDS: Final = 86_400.0
"""How long a row may wait for its object, and snapshots of other programs for their readers."""


class Snapshot(Struct, frozen=True):
    """A whole snapshot of the history that stands."""

    id: UUID
    epoch: int
    seq: int
    key: str
    sha256: bytes


def path_of(team_id: UUID, snapshot_id: UUID | None = None) -> str:
    """Below this is all that was ever written for the team, or for one of its snapshots."""
    return f"board-snapshots/{team_id}" + ("" if snapshot_id is None else f"/{snapshot_id}")


async def newest(tx: Reading, team_id: UUID, seq: int, form: str, limit: int) -> Sequence[Snapshot]:
    """The newest snapshots in this format at `seq` or before, newest first."""
    return [Snapshot(*row) for row in await tx.fetch(_NEWEST, team_id, seq, form, limit)]


async def kept(tx: Reading, team_id: UUID, form: str) -> set[int]:
    """Where there are snapshots of the team in this format."""
    return {row["seq"] for row in await tx.fetch(_KEPT, team_id, form)}


async def drops(tx: Reading, team_id: UUID) -> int:
    """How often the team's snapshots were dropped because the journal has forgotten something."""
    return int(await tx.fetchval(_DROPS, team_id) or 0)


async def reserve(tx: Writing, team_id: UUID, *, epoch: int, seq: int, digest: bytes, form: str) -> UUID:
    """A row for a snapshot to come, which expires in a day unless it is completed."""
    snapshot_id = new_id()
    await tx.execute(_RESERVE, team_id, snapshot_id, epoch, seq, digest, form, UNFINISHED_SECONDS)
    return snapshot_id


async def complete(tx: Writing, team_id: UUID, snapshot_id: UUID, stored: Stored, *, made_after: int) -> bool:
    """The object is there: keep it, unless snapshots were dropped more often than `made_after`; whether it is kept.

    Another worker's at the same place stays, and this one expires.
    """
    # Whoever drops snapshots counts it in a transaction that waits for this one, or that this one waits for.
    await tx.alone(f"board-snapshots:{team_id}")
    key, size, sha256 = stored.key, stored.size, stored.sha256
    return bool(await tx.execute(_COMPLETE, team_id, snapshot_id, key, size, sha256, made_after))


async def expire_stale(tx: Writing, team_id: UUID, form: str) -> int:
    """Nobody finds any more what is of another history, nor what programs of another format kept a day ago."""
    return await tx.execute(_EXPIRE_STALE, team_id, form, UNFINISHED_SECONDS)


async def forget_expired(pool: Pool, store: ObjectStore | None, team_id: UUID | None = None) -> int:
    """Delete what has expired, of one team or of all, the objects first; how many. For the worker's pool.

    Raises StorageUnavailable and ObjectStoreUnavailable. Without a store there is nothing that could be deleted safely.
    """
    forgotten = 0
    while store is not None:
        async with reading(pool, None) as tx:
            expired = await tx.fetch(_EXPIRED, team_id, AT_ONCE)
        for row in expired:
            await store.delete_below(path_of(row["team_id"], row["id"]))
        async with writing(pool) as tx:
            forgotten += await tx.execute(_FORGET, [row["team_id"] for row in expired], [row["id"] for row in expired])
        if len(expired) < AT_ONCE:
            break
    return forgotten


# The row at the snapshot's seq proves that it is of this history: a restored team may have come there again.
_OF_HISTORY: Final = """
from board_snapshots s join task_events e on e.team_id = s.team_id and e.seq = s.seq and e.digest = s.digest
where s.team_id = $1 and s.expires_at is null and s.key is not null
"""
_NEWEST: Final = f"""
select s.id, s.epoch, s.seq, s.key, s.sha256 {_OF_HISTORY} and s.seq <= $2 and s.format = $3
order by s.seq desc limit $4
"""
_KEPT: Final = f"select s.seq {_OF_HISTORY} and s.format = $2"
_DROPS: Final = "select drops from board_snapshot_drops where team_id = $1"
_RESERVE: Final = """
insert into board_snapshots (team_id, id, epoch, seq, digest, format, expires_at)
values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
"""
_COMPLETE: Final = """
update board_snapshots s set key = $3, size = $4, sha256 = $5, expires_at = null
where s.team_id = $1 and s.id = $2 and s.expires_at > now()
  and coalesce((select d.drops from board_snapshot_drops d where d.team_id = $1), 0) = $6
  and not exists (
    select from board_snapshots o
    where o.team_id = $1 and o.format = s.format and o.seq = s.seq and o.expires_at is null
  )
"""
_EXPIRE_STALE: Final = """
update board_snapshots s set expires_at = now()
where s.team_id = $1 and s.expires_at is null and (
    not exists (select from task_events e where e.team_id = s.team_id and e.seq = s.seq and e.digest = s.digest)
    or (s.format <> $2 and s.made_at < now() - make_interval(secs => $3))
)
"""
_EXPIRED: Final = """
select team_id, id from board_snapshots
where expires_at <= now() and ($1::uuid is null or team_id = $1) limit $2
"""
_FORGET: Final = """
delete from board_snapshots s using unnest($1::uuid[], $2::uuid[]) as g (team_id, id)
where s.team_id = g.team_id and s.id = g.id and s.expires_at <= now()
"""
