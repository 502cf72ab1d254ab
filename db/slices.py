"""Deleting much, a slice per transaction: no other transaction has to wait long, and what is done stays done."""

from collections.abc import Awaitable, Callable
from typing import Final

from db.pool import Pool
from db.transaction import Writing, writing

__all__ = ["delete_in_slices"]

ROWS_AT_ONCE: Final = 5_000


async def delete_in_slices(pool: Pool, delete: Callable[[Writing, int], Awaitable[int]]) -> int:
    """Run `delete`, which deletes at most so many rows and says how many, until it deletes fewer; how many in all.

    Raises StorageUnavailable.
    """
    total, deleted = 0, ROWS_AT_ONCE
    while deleted >= ROWS_AT_ONCE:
        async with writing(pool) as tx:
            deleted = await delete(tx, ROWS_AT_ONCE)
        total += deleted
    return total
