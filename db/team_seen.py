"""How far a member has looked at a team, and how much others have changed since. It is no event, and nobody else's."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.transaction import Reading, Writing

__all__ = ["LOOKED_AT", "Seen", "mark_seen", "seen_of"]

LOOKED_AT: Final = 500
"""Newest events of a team among which tasks are counted: a list of teams is read at once, however much happened."""


class Seen(Struct, frozen=True):
    """`seq` is what the member has looked at, 0 where they never said; of a history that was taken back, what is left.

    `unread`: how many tasks others have changed since, each once, in the team's newest `LOOKED_AT` events.
    """

    team_id: UUID
    seq: int
    unread: int


async def seen_of(tx: Reading, user_id: UUID, team_ids: Sequence[UUID]) -> dict[UUID, Seen]:
    """Of each of the teams that the user is a member of. For a transaction of the user's."""
    found = await tx.fetch(_SEEN, user_id, list(team_ids), LOOKED_AT)
    return {row["team_id"]: Seen(row["team_id"], row["seq"], row["unread"]) for row in found}


async def mark_seen(tx: Writing, user_id: UUID, team_id: UUID, *, epoch: int, seq: int) -> None:
    """The user has looked at the team up to there; a place before the one that is noted changes nothing."""
    await tx.execute(_MARK, team_id, user_id, epoch, seq)


# A place of an older epoch is good up to where the next one began: from there on something else has happened.
_SEEN: Final = """
with mine as (
    select t.id as team_id, t.seq as newest, coalesce(least(s.seq, (
        select min(e.from_seq) - 1 from team_epochs e where e.team_id = t.id and e.epoch > s.epoch
    )), 0) as seq
    from memberships m
    join teams t on t.id = m.team_id
    left join team_seen s on s.team_id = t.id and s.user_id = $1
    where m.user_id = $1 and m.team_id = any($2::uuid[])
)
select team_id, seq, (
    select count(distinct e.subject_id) from task_events e
    where e.team_id = mine.team_id and e.seq > greatest(mine.seq, mine.newest - $3) and e.actor_id <> $1
      and e.type in ('task.created', 'task.updated', 'task.moved', 'task.archived', 'task.restored', 'task.deleted',
                     'comment.added', 'comment.edited', 'comment.deleted', 'attachment.added', 'attachment.deleted')
) as unread
from mine
"""
_MARK: Final = """
insert into team_seen as s (team_id, user_id, epoch, seq) values ($1, $2, $3, $4)
on conflict (team_id, user_id) do update set epoch = excluded.epoch, seq = excluded.seq, seen_at = now()
where (s.epoch, s.seq) < (excluded.epoch, excluded.seq)
"""
