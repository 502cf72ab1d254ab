"""What is looked after from time to time: old deliveries go, and a projection that is behind is found."""

from collections.abc import Sequence
from typing import Final

from core.codec import JournalRow
from db.journal.rows import journal_row
from db.journal.sql import EVENT_SELECT
from db.pool import Pool
from db.slices import delete_in_slices
from db.transaction import Reading

__all__ = ["KEPT_DAYS", "forget_old_deliveries", "newest_unprojected"]

KEPT_DAYS: Final = 30


async def forget_old_deliveries(pool: Pool, *, days: float = KEPT_DAYS) -> int:
    """Delete deliveries that were made so many days ago, with their attempts; how many. For the worker pool.

    Raises StorageUnavailable.
    """
    return await delete_in_slices(pool, lambda tx, limit: tx.execute(_FORGET, days * 86_400.0, limit))


async def newest_unprojected(tx: Reading, name: str, limit: int) -> Sequence[JournalRow]:
    """The newest events of teams with subscriptions that the projection of this name has not come to."""
    return list(map(journal_row, await tx.fetch(_BEHIND, name, limit)))


_FORGET: Final = """
delete from webhook_deliveries where (team_id, id) in (
    select team_id, id from webhook_deliveries where created_at < now() - make_interval(secs => $1) limit $2
)
"""
_BEHIND: Final = f"""
select {EVENT_SELECT} from (select distinct team_id from webhook_subscriptions) s
join teams t on t.id = s.team_id
join task_events e on e.team_id = t.id and e.seq = t.seq
where not exists (
    select from projections p where p.name = $1 and p.team_id = t.id and (p.epoch, p.seq) >= (t.epoch, t.seq)
) and t.seq > (select min(w.start_seq) from webhook_subscriptions w where w.team_id = t.id)
limit $2
"""  # noqa: S608 (column names of our own)
