"""In-app notifications: whoever is assigned a task by somebody else is told, once."""

from typing import Final

import msgspec

from core.codec import JournalRow, decode
from core.events import TaskCreated, TaskUpdated
from db.people.notifications import assigned
from db.pool import Pool
from streams.consumers.retries import Permanent
from streams.consumers.runner import ConsumerPlan, Effect, Outcome
from streams.kafka.topics import NOTIFICATIONS_DLQ, NOTIFICATIONS_RETRY, TASK_EVENTS

__all__ = ["notifications", "notify"]

NAME: Final = "notifications"
CONCERNED: Final = frozenset({TaskCreated.type, TaskUpdated.type})


def notifications(pool: Pool) -> ConsumerPlan:
    """The consumer group `taskforge.notifications`, writing through `pool` (the worker's)."""
    return ConsumerPlan(NAME, TASK_EVENTS, NOTIFICATIONS_RETRY, NOTIFICATIONS_DLQ, notify(pool))


def notify(pool: Pool) -> Effect:
    """The effect. Events of types that this version does not know are none of its business: it skips them."""

    async def apply(row: JournalRow) -> Outcome:
        if row.type not in CONCERNED:
            return Outcome(applied=False)
        try:
            event = decode(row)
        except msgspec.MsgspecError as error:
            raise Permanent(f"{row.type} with data of another shape: {error}") from error
        if not isinstance(event, TaskCreated | TaskUpdated):
            return Outcome(applied=False)
        return Outcome(applied=await assigned(pool, event, f"{row.team_id}:{row.seq}"))

    return apply
