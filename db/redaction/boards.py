"""Boards of the past, reports and bootstraps that may hold what the journal has forgotten: nobody finds them."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from db.objects import BOOTSTRAPS
from db.pool import Pool
from db.transaction import writing

__all__ = ["drop_boards"]


async def drop_boards(pool: Pool, team_id: UUID, subjects: Collection[UUID]) -> int:
    """Let every snapshot and report expire that was made after the first event about one of the subjects; how many.

    So do all of the team's bootstraps, which have everything in them. It is counted, so that what is being made of the
    journal as it was before is not kept either. Snapshots are made anew by whoever hears of the redaction, the others
    by whoever asks for them. For the worker's pool, once the journal is redacted. Raises StorageUnavailable.
    """
    async with writing(pool) as tx:
        await tx.alone(f"board-snapshots:{team_id}")
        await tx.execute(_COUNT, team_id)
        dropped = await tx.execute(_DROP, team_id, list(subjects))
        dropped += await tx.execute(_DROP_REPORTS, team_id, list(subjects))
        return dropped + await tx.execute(_DROP_BOOTSTRAPS, team_id, BOOTSTRAPS)


_COUNT: Final = """
insert into board_snapshot_drops as d (team_id, drops) values ($1, 1)
on conflict (team_id) do update set drops = d.drops + 1
"""
_DROP: Final = """
update board_snapshots s set expires_at = now()
where s.team_id = $1 and (s.expires_at is null or s.expires_at > now()) and s.seq >= (
    select min(e.seq) from task_events e where e.team_id = $1 and e.subject_id = any($2::uuid[])
)
"""
_DROP_REPORTS: Final = """
update objects o set expires_at = now() from reports r
where r.team_id = $1 and o.team_id = r.team_id and o.id = r.id and o.expires_at > now() and r.seq >= (
    select min(e.seq) from task_events e where e.team_id = $1 and e.subject_id = any($2::uuid[])
)
"""
_DROP_BOOTSTRAPS: Final = """
update objects set expires_at = now()
where team_id = $1 and kind = $2 and key is not null and expires_at > now()
"""
