"""Keeps boards of the past at hand: a snapshot of a team every so many events or bytes, and anew those that went."""

from collections import defaultdict
from typing import Final
from uuid import UUID

from core.codec import JournalRow
from core.events import HistoryRedacted, TeamRestored
from db.object_store import ObjectStore
from db.past.making import EVERY, EVERY_BYTES, SnapshotMaker
from db.pool import Pool
from streams.consumers.plan import ConsumerPlan, Handled
from streams.kafka.topics import TASK_EVENTS

__all__ = ["NAME", "history"]

NAME: Final = "history"


PORTIONS: Final = 4
"""Looks for what is due while so many bytes come as a snapshot may be behind: it comes later by one portion at most."""
MOST_TEAMS: Final = 10_000


def history(
    pool: Pool, store: ObjectStore | None, *, every: int = EVERY, every_bytes: int = EVERY_BYTES
) -> ConsumerPlan:
    """The consumer group `taskforge.history`, with the worker's pool. Without a store it has nothing to do.

    The journal is what snapshots are made of; an event says only that one may be due. Delivered twice, it finds nothing
    missing. A slow batch is a small one: of a team that had no snapshots yet, all are made at once.
    """
    maker = None if store is None else SnapshotMaker(pool, store, every=every, every_bytes=every_bytes)
    heard = _Heard(every_bytes // PORTIONS)

    async def handle(_: str, row: JournalRow) -> Handled:
        is_time = heard.is_portion(row)
        if maker is None or not (_has_lost(row) or is_time or row.seq % every == 0):
            return "passed"
        if _has_lost(row):
            await maker.tidy(row.team_id)
        made = await maker.make_due(row.team_id, row.seq)
        return "applied" if made else "passed"

    return ConsumerPlan(NAME, TASK_EVENTS, handle, batch_records=50)


class _Heard:
    """How much has come of each team since somebody looked. Forgotten, it costs a portion, and no answer."""

    def __init__(self, portion: int) -> None:
        self._portion = portion
        self._bytes: defaultdict[UUID, int] = defaultdict(int)

    def is_portion(self, row: JournalRow) -> bool:
        """Whether the event completes a portion."""
        if len(self._bytes) > MOST_TEAMS:
            self._bytes.clear()
        self._bytes[row.team_id] += len(row.payload)
        if self._bytes[row.team_id] < self._portion:
            return False
        del self._bytes[row.team_id]
        return True


def _has_lost(row: JournalRow) -> bool:
    """Whether snapshots have gone because of what the event tells."""
    return row.type in {HistoryRedacted.type, TeamRestored.type}
