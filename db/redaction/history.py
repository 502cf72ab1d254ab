"""The journal forgets: payloads are replaced by what is left of them, a slice per transaction, and their salt goes.

Whatever number, type, time and ids a row has stay, and so does its digest, which nobody can compare guesses with any
more once the salt is gone.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from core.redaction import redacted, redacted_with_team
from db.pool import Pool
from db.redaction.role import redacting
from db.transaction import Writing, reading

__all__ = ["SLICE", "redact_history", "redact_slice", "redact_team", "teams_that_name"]

SLICE: Final = 500
"""Rows in one transaction."""

# The rows about a subject are found by the index on it. Rows that are redacted already have no salt.
_NEXT: Final = """
select seq, type, payload from task_events
where team_id = $1 and subject_id = any($2::uuid[]) and seq > $3 and salt is not null
order by seq limit $4 for update
"""
_NEXT_OF_TEAM: Final = """
select seq, type, payload from task_events where team_id = $1 and seq > $2 and salt is not null
order by seq limit $3 for update
"""
_REPLACE: Final = """
update task_events e set payload = n.payload, salt = null from unnest($2::bigint[], $3::text[]) as n (seq, payload)
where e.team_id = $1 and e.seq = n.seq
"""
# One look into the index for each team: a user has left traces where they were a member, whoever remembers it today.
_TEAMS: Final = """
select t.id from teams t where exists (select from task_events e where e.team_id = t.id and e.subject_id = $1)
order by t.id
"""


async def redact_history(
    pool: Pool, team_id: UUID, subjects: Collection[UUID], *, among: Collection[UUID] | None = None
) -> int:
    """Redact all that the team's journal says of the subjects; how many rows that were.

    The rows are those about the subjects, or about what `among` names: a comment's are about its task.

    Done again, it finds nothing left to do; two at once do each row once. For the worker's pool. Raises
    StorageUnavailable, and KeyError for an event that a newer program wrote.
    """
    after, total = 0, 0
    while True:
        looked_at, changed = await redact_slice(pool, team_id, subjects, after, among=among)
        total += changed
        if not looked_at:
            return total
        after = looked_at[-1]


async def redact_slice(
    pool: Pool, team_id: UUID, subjects: Collection[UUID], after: int, *, among: Collection[UUID] | None = None
) -> tuple[Sequence[int], int]:
    """The next rows after a seq, in one transaction: the seqs that were looked at, and how many of them changed."""
    async with redacting(pool) as tx:
        rows = await tx.fetch(_NEXT, team_id, list(among or subjects), after, SLICE)
        left = {row["seq"]: redacted(row["type"], row["payload"].encode(), subjects) for row in rows}
        changed = await _replace(tx, team_id, left)
    return list(left), changed


async def redact_team(pool: Pool, team_id: UUID) -> int:
    """Redact all that the team's journal says of anything; how many rows that were. Otherwise as `redact_history`."""
    after, total = 0, 0
    while True:
        async with redacting(pool) as tx:
            rows = await tx.fetch(_NEXT_OF_TEAM, team_id, after, SLICE)
            left = {row["seq"]: redacted_with_team(row["type"], row["payload"].encode()) for row in rows}
            total += await _replace(tx, team_id, left)
        if not rows:
            return total
        after = rows[-1]["seq"]


async def _replace(tx: Writing, team_id: UUID, left: Mapping[int, bytes | None]) -> int:
    """Write what is left of payloads; None is one that nothing was taken out of. How many changed."""
    changed = {seq: payload.decode() for seq, payload in left.items() if payload is not None}
    if changed:
        await tx.execute(_REPLACE, team_id, list(changed), list(changed.values()))
    return len(changed)


async def teams_that_name(pool: Pool, user_id: UUID) -> Sequence[UUID]:
    """The teams whose journals have events about the user: all that they ever were a member of.

    For the worker's pool. Raises StorageUnavailable.
    """
    async with reading(pool, None) as tx:
        return [row["id"] for row in await tx.fetch(_TEAMS, user_id)]
