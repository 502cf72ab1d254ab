"""Checkpoints of the teams: how far each is, what it adds up to, and taking in what its journal has next.

Nothing of a thing is stored but the hash of what was said of it last (`core/checkpoints.py`). Whoever holds a team's
row is the only one who takes in and publishes, so that of two workers neither overtakes the other.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct, structs

from core.checkpoints import (
    BEGINNING,
    FORMAT,
    KINDS,
    Checkpoint,
    Event,
    Thing,
    ThingKey,
    Things,
    chained,
    event_of,
    last_word,
    state_of,
    unsaid,
)
from core.events import HistoryRedacted
from db.errors import storage_errors
from db.journal.relay_cursors import RANGES
from db.journal.rows import stored_row
from db.journal.sql import READ_STORED, STORED_EVENT_SELECT
from db.pool import Pool
from db.transaction import Reading, Writing

__all__ = [
    "PAGE",
    "Pace",
    "Position",
    "checkpoint",
    "due",
    "end",
    "forget",
    "hold",
    "of_ended_teams",
    "published",
    "take_in",
]

PAGE: Final = 500
"""Events that are taken in by one transaction."""


class Pace(Struct, frozen=True):
    """A checkpoint is due after so many events, or after so much time if there were any."""

    events: int
    time: timedelta


class Position(Struct, frozen=True):
    """A team's row, held: everything up to `seq` is taken in, of which the relay has published up to `cursor`."""

    team_id: UUID
    cursor: int
    epoch: int
    seq: int
    digest: bytes
    chain: bytes
    redacted_seq: int
    at: datetime | None


async def due(
    pool: Pool, ranges: Collection[int], incarnation: str, pace: Pace, *, after: UUID, limit: int
) -> tuple[Sequence[UUID], UUID | None]:
    """Teams of the ranges whose checkpoint is due in this life of the broker, among the next `limit` by id.

    The second of the two is the id that the next look begins after; None at the last team. Raises StorageUnavailable.
    """
    with storage_errors():
        rows = await pool.fetch(_DUE, RANGES, list(ranges), after, limit, incarnation, pace.events, pace.time, FORMAT)
    last = rows[-1]["team_id"] if len(rows) == limit else None
    return [row["team_id"] for row in rows if row["due"]], last


async def hold(tx: Writing, team_id: UUID, incarnation: str) -> Position | None:
    """Hold the team's row until the transaction ends.

    None when somebody else does, or has just done all there was to do, or while the relay publishes anew what was taken
    in before.

    What was taken in of another history than the one that stands, or under other rules, is forgotten here.
    """
    await tx.execute(_MAKE, team_id, FORMAT)
    row = await tx.fetchrow(_HOLD, team_id, FORMAT, incarnation)
    if row is None:
        return None
    stands, *fields = row
    position = Position(team_id, *fields)
    if stands:
        return position if position.seq <= position.cursor else None
    await tx.execute(_FORGET_THINGS, team_id)
    anew = structs.replace(position, epoch=1, seq=0, digest=b"", chain=BEGINNING, redacted_seq=0, at=None)
    await _move(tx, anew)
    return anew


async def take_in(tx: Writing, position: Position) -> Position:
    """Take in the next page of what is published, and move there."""
    limit = min(PAGE, position.cursor - position.seq)
    rows = [stored_row(row) for row in await tx.fetch(READ_STORED, position.team_id, position.seq, limit)]
    if not rows:
        return position
    events = [event_of(row) for row in rows]
    things = Things(await _last_words(tx, position.team_id, unsaid(events), rows[0].seq))
    chain, redacted_seq = position.chain, position.redacted_seq
    for row, event in zip(rows, events, strict=True):
        things.apply(event)
        chain = chained(chain, row.digest)
        redacted_seq = row.seq if row.type == HistoryRedacted.type else redacted_seq
    await _keep(tx, position.team_id, things)
    end = rows[-1]
    moved = structs.replace(
        position,
        epoch=end.epoch,
        seq=end.seq,
        digest=end.digest,
        chain=chain,
        redacted_seq=redacted_seq,
        at=end.at,
    )
    await _move(tx, moved)
    return moved


async def checkpoint(tx: Reading, position: Position) -> Checkpoint:
    """What the team must add up to where it is held."""
    assert position.at is not None, "something has happened to the team"
    rows = await tx.fetch(_THINGS, position.team_id)
    counts = dict.fromkeys(KINDS, 0)
    for row in rows:
        counts[row["kind"]] += 1
    return Checkpoint(
        format=FORMAT,
        team=position.team_id,
        epoch=position.epoch,
        seq=position.seq,
        count=position.seq,
        chain=position.chain.hex(),
        state=state_of(row["hash"] for row in rows),
        things=counts,
        redacted_seq=position.redacted_seq,
        at=position.at,
    )


async def published(tx: Writing, position: Position, incarnation: str) -> None:
    """The broker has the checkpoint of where the team is held, in this life of it."""
    await tx.execute(_PUBLISHED, position.team_id, position.seq, position.epoch, incarnation)


async def of_ended_teams(pool: Pool, limit: int) -> Sequence[UUID]:
    """Teams that were deleted and have a row here still: at most so many. Raises StorageUnavailable."""
    with storage_errors():
        return [row["team_id"] for row in await pool.fetch(_OF_ENDED, limit)]


async def end(tx: Writing, team_id: UUID) -> bool:
    """The team has no checkpoint any more, once `tx` ends; False when somebody else holds its row, or has ended it."""
    if not await tx.execute(_END_TEAM, team_id):
        return False
    await tx.execute(_FORGET_THINGS, team_id)
    return True


async def forget(pool: Pool, ranges: Collection[int]) -> None:
    """The broker has lost the checkpoints: those of the ranges are due again. Raises StorageUnavailable."""
    with storage_errors():
        await pool.execute(_FORGET, RANGES, list(ranges))


async def _last_words(tx: Reading, team_id: UUID, keys: Collection[ThingKey], before: int) -> dict[ThingKey, Thing]:
    """What the journal said last of these things before a seq; whatever is gone by then is left out."""
    if not keys:
        return {}
    rows = await tx.fetch(_LAST_WORDS, team_id, [thing_id for _, thing_id in keys], before)
    events: dict[UUID, Event] = {row["subject_id"]: event_of(stored_row(row)) for row in rows}
    found = {key: last_word(key, events[key[1]]) for key in keys if key[1] in events}
    return {key: thing for key, thing in found.items() if thing is not None}


async def _keep(tx: Writing, team_id: UUID, things: Things) -> None:
    if things.emptied:
        await tx.execute(_FORGET_THINGS, team_id)
    await tx.execute(_END, team_id, list(things.ended))
    await tx.execute(_DROP, team_id, [kind for kind, _ in things.gone], [thing_id for _, thing_id in things.gone])
    there = list(things.hashes())
    await tx.execute(
        _PUT,
        team_id,
        [kind for (kind, _), _, _ in there],
        [thing_id for (_, thing_id), _, _ in there],
        [task_id for _, task_id, _ in there],
        [one for _, _, one in there],
    )


async def _move(tx: Writing, position: Position) -> None:
    await tx.execute(
        _MOVE,
        position.team_id,
        FORMAT,
        position.epoch,
        position.seq,
        position.digest,
        position.chain,
        position.redacted_seq,
        position.at,
    )


# A new epoch leaves a checkpoint of what has not happened: the next one is due at once. While the relay publishes anew
# what it has published before, the checkpoint waits until its own event is there again.
_DUE: Final = """
select c.team_id, get_byte(uuid_send(c.team_id), 15) % $1 = any($2::int[]) and c.published_seq > 0 and (
    k.team_id is null or k.published_epoch < t.epoch or k.format <> $8 or c.published_seq >= k.seq and (
        k.incarnation <> $5 or c.published_seq - k.published_seq >= $6
        or (c.published_seq > k.published_seq and k.published_at <= now() - $7::interval)
    )
) as due
from relay_cursors c join teams t on t.id = c.team_id and t.deleted_at is null
left join checkpoints k on k.team_id = c.team_id
where c.team_id > $3 order by c.team_id limit $4
"""
_MAKE: Final = "insert into checkpoints (team_id, format) values ($1, $2) on conflict do nothing"
# The row of the journal at `seq` tells whether the history that was taken in is the one that stands.
_HOLD: Final = """
select k.format = $2::smallint and (k.seq = 0 or coalesce(e.digest = k.digest, false)) as stands,
    c.published_seq, k.epoch, k.seq, k.digest, k.chain, k.redacted_seq, k.at
from checkpoints k join relay_cursors c on c.team_id = k.team_id and c.published_seq > 0
left join task_events e on e.team_id = k.team_id and e.seq = k.seq
where k.team_id = $1
  and (k.incarnation, k.published_seq, k.published_epoch, k.format)
    is distinct from ($3::text, c.published_seq, k.epoch, $2::smallint)
for update of k skip locked
"""
_MOVE: Final = """
update checkpoints set format = $2, epoch = $3, seq = $4, digest = $5, chain = $6, redacted_seq = $7, at = $8
where team_id = $1
"""
_PUBLISHED: Final = """
update checkpoints set published_seq = $2, published_epoch = $3, incarnation = $4, published_at = now()
where team_id = $1
"""
_OF_ENDED: Final = """
select k.team_id from checkpoints k join teams t on t.id = k.team_id and t.deleted_at is not null limit $1
"""
_END_TEAM: Final = """
delete from checkpoints where team_id in (select team_id from checkpoints where team_id = $1 for update skip locked)
"""
_FORGET: Final = """
update checkpoints set incarnation = ''
where incarnation <> '' and get_byte(uuid_send(team_id), 15) % $1 = any($2::int[])
"""
_LAST_WORDS: Final = f"""
select {STORED_EVENT_SELECT}, e.subject_id from unnest($2::uuid[]) as w (id) cross join lateral (
    select * from task_events l where l.team_id = $1 and l.subject_id = w.id and l.seq < $3 order by l.seq desc limit 1
) e
"""  # noqa: S608 (column names of our own)
_FORGET_THINGS: Final = "delete from checkpoint_things where team_id = $1"
_END: Final = "delete from checkpoint_things where team_id = $1 and task_id = any($2::uuid[])"
_DROP: Final = """
delete from checkpoint_things c using unnest($2::text[], $3::uuid[]) as g (kind, id)
where c.team_id = $1 and c.kind = g.kind and c.id = g.id
"""
_PUT: Final = """
insert into checkpoint_things (team_id, kind, id, task_id, hash)
select $1::uuid, * from unnest($2::text[], $3::uuid[], $4::uuid[], $5::bytea[])
on conflict (team_id, kind, id) do update set task_id = excluded.task_id, hash = excluded.hash
where checkpoint_things.hash <> excluded.hash
"""
_THINGS: Final = "select kind, hash from checkpoint_things where team_id = $1"
