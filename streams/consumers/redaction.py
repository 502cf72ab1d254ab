"""Starts the redaction of every task that is deleted for good, and of every comment that is deleted."""

from typing import Any, Final
from uuid import UUID

import msgspec

from core.codec import JournalRow, decode
from core.events import CommentDeleted, TaskDeleted
from core.upcasts import UnknownEvent
from db.pool import Pool
from db.redaction.comments import comment_is_written_about
from db.redaction.tasks import is_written_about
from db.transaction import Writing
from streams.consumers.plan import ConsumerPlan, Permanent
from streams.consumers.transactional import in_transaction
from streams.kafka.topics import TASK_EVENTS
from streams.operations.redaction import COMMENT_REDACTION, TASK_REDACTION

__all__ = ["NAME", "redaction"]

NAME: Final = "redaction"


def redaction(pool: Pool) -> ConsumerPlan:
    """The consumer group `taskforge.redaction`, writing through `pool` (the worker's).

    The team's writer has no time for it: its statement is what every change waits for.
    """
    return ConsumerPlan(NAME, TASK_EVENTS, in_transaction(pool, _start, concerns=_deletes))


def _deletes(row: JournalRow) -> bool:
    return row.type in {TaskDeleted.type, CommentDeleted.type}


async def _start(tx: Writing, row: JournalRow) -> bool:
    """A refill repeats what was redacted long ago: nothing is started for that."""
    data: dict[str, Any] = {"task_id": row.subject}
    if row.type == TaskDeleted.type:
        plan, is_due = TASK_REDACTION, await is_written_about(tx, row.team_id, row.subject)
    else:
        comment_id = data["comment_id"] = _comment_in(row)
        plan = COMMENT_REDACTION
        is_due = await comment_is_written_about(tx, row.team_id, row.subject, comment_id)
    if is_due:
        await plan.start(tx, row.actor_id, team_id=row.team_id, data=data, traceparent=row.traceparent)
    return is_due


def _comment_in(row: JournalRow) -> UUID:
    try:
        event = decode(row)
    except (UnknownEvent, msgspec.MsgspecError) as error:
        raise Permanent(f"{row.type} with data of another shape: {error}") from error
    assert isinstance(event, CommentDeleted), f"{row.type} is about a comment"
    return event.comment.id
