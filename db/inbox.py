"""The inbox: what a consumer has applied already, recorded in the transaction of the effect."""

from typing import Final

from db.pool import Pool
from db.transaction import Writing, writing

__all__ = ["forget_applied", "record"]

KEPT_DAYS: Final = 30
ROWS_AT_ONCE: Final = 5_000


async def record(tx: Writing, consumer: str, event_id: str) -> bool:
    """Say that `consumer` applies the event now; False when it has been applied before, so that nothing is to be done.

    A delivery of the same event that runs right now is waited for.
    """
    return await tx.execute(_RECORD, consumer, event_id) == 1


async def forget_applied(pool: Pool, *, days: int = KEPT_DAYS) -> int:
    """Delete rows older than `days`, a few thousand per transaction; how many. Runs as the worker role."""
    total = 0
    while True:
        async with writing(pool) as tx:
            deleted = await tx.execute(_FORGET, days, ROWS_AT_ONCE)
        total += deleted
        if deleted < ROWS_AT_ONCE:
            return total


_RECORD: Final = "insert into inbox (consumer, event_id) values ($1, $2) on conflict do nothing"
_FORGET: Final = """
delete from inbox where (consumer, event_id) in (
    select consumer, event_id from inbox where at < now() - make_interval(days => $1) limit $2
)
"""
