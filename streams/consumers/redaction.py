"""Starts the redaction of every task that is deleted for good."""

from typing import Final

from core.codec import JournalRow
from core.events import TaskDeleted
from db.pool import Pool
from db.redaction.tasks import is_written_about
from db.transaction import Writing
from streams.consumers.plan import ConsumerPlan
from streams.consumers.transactional import in_transaction
from streams.kafka.topics import TASK_EVENTS
from streams.operations.redaction import TASK_REDACTION

__all__ = ["NAME", "redaction"]

NAME: Final = "redaction"


def redaction(pool: Pool) -> ConsumerPlan:
    """The consumer group `taskforge.redaction`, writing through `pool` (the worker's).

    The team's writer has no time for it: its statement is what every change waits for.
    """

    async def start(tx: Writing, row: JournalRow) -> bool:
        if not await is_written_about(tx, row.team_id, row.subject):
            return False  # A refill repeats what was redacted long ago.
        task = {"task_id": row.subject}
        await TASK_REDACTION.start(tx, row.actor_id, team_id=row.team_id, data=task, traceparent=row.traceparent)
        return True

    return ConsumerPlan(NAME, TASK_EVENTS, in_transaction(pool, start, concerns=_deletes))


def _deletes(row: JournalRow) -> bool:
    return row.type == TaskDeleted.type
