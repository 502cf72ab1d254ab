"""Who changed what in a team: its journal without what was written, for its admins."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from core.principal import ActorKind
from core.seq import MAX_SEQ
from db.pool import Pool
from db.transaction import reading

__all__ = ["AuditFilter", "AuditRow", "audit_newest", "audit_oldest"]

PAGE: Final = 500


class AuditFilter(Struct, frozen=True, kw_only=True):
    """None lets everything through. `since` is the first moment, `until` the first that is too late."""

    actor_id: UUID | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditRow(Struct, frozen=True, kw_only=True):
    """One event: by whom, by which kind of hand, through which key, and which fields it changed.

    `former_name` is the actor's, where they are a member no more. `redacted`: what it said is forgotten.
    """

    seq: int
    at: datetime
    actor_id: UUID
    actor_kind: ActorKind
    via: UUID | None
    type: str
    subject: UUID
    changed: Sequence[str]
    former_name: str | None
    redacted: bool


# The names of what changed are the keys of `previous`; the values stay where they are.
_AUDIT: Final = """
select e.seq, e.at, e.actor_id, e.actor_kind, e.via, e.type, e.subject_id as subject, e.salt is null as redacted,
       f.name as former_name, array(
           select json_object_keys(e.payload::json -> 'previous')
           where json_typeof(e.payload::json -> 'previous') = 'object'
       ) as changed
from task_events e
join memberships m on m.team_id = e.team_id and m.user_id = $1
left join former_members f on f.team_id = e.team_id and f.user_id = e.actor_id
where e.team_id = $2 and e.seq > $3 and e.seq < $4
  and (e.actor_id = $5 or $5::uuid is null) and (e.type = $6 or $6::text is null)
  and (e.at >= $7 or $7::timestamptz is null) and (e.at < $8 or $8::timestamptz is null)
"""
_NEWEST: Final = f"{_AUDIT} order by e.seq desc limit $9"
_OLDEST: Final = f"{_AUDIT} order by e.seq limit $9"


async def audit_newest(
    pool: Pool, user_id: UUID, team_id: UUID, wanted: AuditFilter, *, before: int | None, limit: int
) -> list[AuditRow]:
    """The team's newest events below a seq, for a member. Raises StorageUnavailable."""
    async with reading(pool, user_id) as tx:
        found = await tx.fetch(_NEWEST, user_id, team_id, 0, before or MAX_SEQ, *_values(wanted), limit)
    return list(map(_row, found))


async def audit_oldest(
    pool: Pool, user_id: UUID, team_id: UUID, wanted: AuditFilter, *, through: int
) -> AsyncIterator[list[AuditRow]]:
    """All of the team's events up to a seq, from the first one on, so many at a time.

    Between two portions no connection is held, however slowly they are taken. Raises StorageUnavailable.
    """
    after = 0
    while True:
        async with reading(pool, user_id) as tx:
            found = await tx.fetch(_OLDEST, user_id, team_id, after, through + 1, *_values(wanted), PAGE)
        if found:
            yield list(map(_row, found))
            after = found[-1]["seq"]
        if len(found) < PAGE:
            return


def _values(wanted: AuditFilter) -> tuple[object, ...]:
    return (wanted.actor_id, wanted.type, wanted.since, wanted.until)


def _row(record: asyncpg.Record) -> AuditRow:
    return AuditRow(**dict(record.items()))
