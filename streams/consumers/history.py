"""Keeps boards of the past at hand: a snapshot of a team every so many events, and all of them anew when they went."""

from typing import Final

from core.codec import JournalRow
from core.events import HistoryRedacted, TeamRestored
from db.object_store import ObjectStore
from db.past.making import EVERY, SnapshotMaker
from db.pool import Pool
from streams.consumers.plan import ConsumerPlan, Handled
from streams.kafka.topics import TASK_EVENTS

__all__ = ["NAME", "history"]

NAME: Final = "history"


def history(pool: Pool, store: ObjectStore | None, *, every: int = EVERY) -> ConsumerPlan:
    """The consumer group `taskforge.history`, with the worker's pool. Without a store it has nothing to do.

    The journal is what snapshots are made of; an event says only that one is due. Delivered twice, it finds nothing
    missing. A slow batch is a small one: of a team that had no snapshots yet, all are made at once.
    """
    maker = None if store is None else SnapshotMaker(pool, store, every=every)

    async def handle(_: str, row: JournalRow) -> Handled:
        if maker is None or not (_has_lost(row) or row.seq % every == 0):
            return "passed"
        if _has_lost(row):
            await maker.tidy(row.team_id)
        made = await maker.make_due(row.team_id, row.seq)
        return "applied" if made else "passed"

    return ConsumerPlan(NAME, TASK_EVENTS, handle, batch_records=50)


def _has_lost(row: JournalRow) -> bool:
    """Whether snapshots have gone because of what the event tells."""
    return row.type in {HistoryRedacted.type, TeamRestored.type}
