"""What a topic has of teams, held against their journals: a topic that knows better saw a history that is lost.

An event is committed before it is published. So what is read here after the topic was read, and from the primary, can
lack nothing of the topic but what it has lost.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.errors import storage_errors
from db.pool import Pool
from db.transaction import writing

__all__ = ["Lost", "Witnessed", "contradicted", "first_differences", "note_lost"]

NEXT_EPOCHS: Final = 1_000
"""An epoch further ahead than this was never one of the team's: it is a forgery, and must not use up the others."""


class Witnessed(Struct, frozen=True):
    """An event as a topic has it; `digest` is empty where that cannot be told, as of a redacted one."""

    team_id: UUID
    epoch: int
    seq: int
    digest: bytes = b""


class Lost(Struct, frozen=True):
    """Of a team's lost history: its last epoch, and the first seq at which the journal has another event.

    `from_seq` is None where all that stands was part of it.
    """

    last_epoch: int
    from_seq: int | None


_WITNESSED: Final = "unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bytea[]) as w (team_id, epoch, seq, digest)"
_CONTRADICTED: Final = f"""
select distinct w.team_id from {_WITNESSED}
join teams t on t.id = w.team_id
left join task_events e on e.team_id = w.team_id and e.seq = w.seq
where w.epoch between t.epoch and t.epoch + {NEXT_EPOCHS} and (
    (w.epoch, w.seq) > (t.epoch, t.seq) or (w.epoch = t.epoch and w.digest <> '' and w.digest <> e.digest)
)
"""  # noqa: S608 (the texts above)
# What an epoch has left behind counts no more: there the journal differs from an older one because it should.
_DIFFERENT: Final = f"""
select w.team_id, min(w.seq) as seq from {_WITNESSED}
join task_events e on e.team_id = w.team_id and e.seq = w.seq
cross join lateral (select coalesce((
    select p.epoch from team_epochs p where p.team_id = e.team_id and p.from_seq <= e.seq order by p.epoch desc limit 1
), 1) as epoch) written
where w.epoch > written.epoch or (w.epoch = written.epoch and w.digest <> '' and w.digest <> e.digest)
group by w.team_id
"""  # noqa: S608 (the text above)
# Under the lock of the team's row, whose epoch may just be rising for the same loss.
_NOTE: Final = """
with lost as materialized (
    select t.id, w.last_epoch, w.from_seq
    from unnest($1::uuid[], $2::integer[], $3::bigint[]) as w (team_id, last_epoch, from_seq)
    join teams t on t.id = w.team_id where t.epoch <= w.last_epoch
    order by t.id for share of t
)
insert into epochs_due (team_id, above_epoch, from_seq) select id, last_epoch, from_seq from lost
on conflict (team_id) do update set
    above_epoch = greatest(epochs_due.above_epoch, excluded.above_epoch),
    from_seq = least(epochs_due.from_seq, excluded.from_seq)
"""


async def contradicted(pool: Pool, newest: Sequence[Witnessed]) -> Collection[UUID]:
    """The teams whose journals do not have the event that a topic has last. Raises StorageUnavailable."""
    with storage_errors():
        return [row["team_id"] for row in await pool.fetch(_CONTRADICTED, *_columns(newest))]


async def first_differences(pool: Pool, events: Sequence[Witnessed]) -> Mapping[UUID, int]:
    """By team, the lowest seq of these at which its journal has another event. Raises StorageUnavailable."""
    with storage_errors():
        return {row["team_id"]: row["seq"] for row in await pool.fetch(_DIFFERENT, *_columns(events))}


async def note_lost(pool: Pool, lost: Mapping[UUID, Lost]) -> None:
    """Have these teams get new epochs, with all that differs from what is lost. For the writer's pool.

    Raises StorageUnavailable.
    """
    async with writing(pool) as tx:
        ends = lost.values()
        await tx.execute(_NOTE, list(lost), [one.last_epoch for one in ends], [one.from_seq for one in ends])


def _columns(events: Iterable[Witnessed]) -> tuple[list[object], ...]:
    columns = zip(*((one.team_id, one.epoch, one.seq, one.digest) for one in events), strict=True)
    return tuple(map(list, columns)) or ([], [], [], [])
