"""In-app notifications: a member who is assigned a task by somebody else is notified, once."""

from typing import Final

import msgspec

from core.assignment import ASSIGNING_TYPES, newly_assigned
from core.codec import JournalRow, decode, event_id
from core.events import AnyTaskEvent
from core.upcasts import UnknownEvent
from db.people.notifications import add_assigned
from db.pool import Pool
from db.transaction import Writing
from streams.consumers.plan import ConsumerPlan, Permanent
from streams.consumers.transactional import in_transaction
from streams.kafka.topics import TASK_EVENTS

__all__ = ["NAME", "notifications"]

NAME: Final = "notifications"


def notifications(pool: Pool) -> ConsumerPlan:
    """The consumer group `taskforge.notifications`, writing through `pool` (the worker's)."""
    return ConsumerPlan(NAME, TASK_EVENTS, in_transaction(pool, _notify, concerns=_assigns_somebody))


def _assigns_somebody(row: JournalRow) -> bool:
    """Events of types that this version does not know are none of its business: it skips them."""
    return row.type in ASSIGNING_TYPES and newly_assigned(_event(row)) is not None


async def _notify(tx: Writing, row: JournalRow) -> bool:
    event = _event(row)
    user_id = newly_assigned(event)
    return user_id is not None and await add_assigned(tx, user_id, event, event_id(row))


def _event(row: JournalRow) -> AnyTaskEvent:
    try:
        event = decode(row)
    except (UnknownEvent, msgspec.MsgspecError) as error:
        raise Permanent(f"{row.type} with data of another shape: {error}") from error
    assert isinstance(event, AnyTaskEvent), f"{row.type} is about a task"
    return event
