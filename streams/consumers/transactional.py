"""Effects in Postgres: each is committed together with its inbox row, so that it happens exactly once."""

from collections.abc import Awaitable, Callable

from core.codec import JournalRow, event_id
from db import inbox
from db.pool import Pool
from db.transaction import Writing, writing
from streams.consumers.plan import Handled, Handling

__all__ = ["Effect", "in_transaction"]

Effect = Callable[[Writing, JournalRow], Awaitable[bool | None]]
"""Writes what follows from one event. It returns nothing, or whether there was anything to write."""


def every_event(_: JournalRow) -> bool:
    return True


def in_transaction(pool: Pool, effect: Effect, *, concerns: Callable[[JournalRow], bool] = every_event) -> Handling:
    """Open a transaction of `pool`, write the inbox row, let `effect` write, and commit all of it at once.

    `concerns` says by the event alone whether the effect has anything to do with it: the others cost no transaction. It
    may raise Permanent for an event that it cannot read.
    """

    async def handle(consumer: str, row: JournalRow) -> Handled:
        if not concerns(row):
            return "passed"
        async with writing(pool) as tx:
            if not await inbox.record(tx, consumer, event_id(row)):
                return "passed"
            written = await effect(tx, row)
        return "passed" if written is False else "applied"

    return handle
