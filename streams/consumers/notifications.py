"""Notifications, each once: of a task that somebody else has assigned, and of what others say."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from core.assignment import ASSIGNING_TYPES, newly_assigned
from core.codec import JournalRow, decode, event_id
from core.comment_notices import COMMENTING_TYPES, newly_mentioned
from core.events import AnyEvent, AnyTaskEvent, CommentAdded, CommentEvent
from core.upcasts import UnknownEvent
from db.notices.notify import Collecting
from db.notices.tasks import add_assigned, add_commented
from db.pool import Pool
from db.transaction import Writing
from streams.consumers.plan import ConsumerPlan, Permanent
from streams.consumers.transactional import in_transaction
from streams.kafka.topics import TASK_EVENTS

__all__ = ["NAME", "notifications"]

NAME: Final = "notifications"


def notifications(
    pool: Pool,
    collecting: Collecting = Collecting(),  # noqa: B008 (frozen)
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ConsumerPlan:
    """The consumer group `taskforge.notifications`, writing through `pool` (the worker's)."""

    async def effect(tx: Writing, row: JournalRow) -> bool:
        return await _notify(tx, row, now(), collecting)

    return ConsumerPlan(NAME, TASK_EVENTS, in_transaction(pool, effect, concerns=_concerns_somebody))


def _concerns_somebody(row: JournalRow) -> bool:
    """Events of types that this version does not know are none of its business: it skips them."""
    if row.type in COMMENTING_TYPES:
        # Whom a new comment concerns beside those whom it mentions, the database knows.
        return row.type == CommentAdded.type or bool(newly_mentioned(_event(row)))
    return row.type in ASSIGNING_TYPES and newly_assigned(_event(row)) is not None


async def _notify(tx: Writing, row: JournalRow, now: datetime, collecting: Collecting) -> bool:
    event = _event(row)
    if isinstance(event, CommentEvent):
        return await add_commented(tx, event, event_id(row), now=now, collecting=collecting)
    user_id = newly_assigned(event)
    if user_id is None:
        return False
    assert isinstance(event, AnyTaskEvent), f"{row.type} is about a task"
    by_series = row.actor_kind == "system" and event.task.recurrence is not None
    return await add_assigned(tx, user_id, event, event_id(row), by_series=by_series, now=now, collecting=collecting)


def _event(row: JournalRow) -> AnyEvent:
    try:
        return decode(row)
    except (UnknownEvent, msgspec.MsgspecError) as error:
        raise Permanent(f"{row.type} with data of another shape: {error}") from error
