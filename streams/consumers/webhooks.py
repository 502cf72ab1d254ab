"""Makes deliveries: an ordered projection of each team's events onto what its subscriptions ask for.

Where the projection is with a team, the start mark of its subscriptions, and its epoch decide what is anybody's
business; events of more than two weeks ago get no delivery. So neither a refilled topic nor a history that comes late
sends anything twice, and what the broker has lost is read from the journal.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from core.codec import JournalRow
from core.webhooks import matches, needs_past
from db import projections
from db.pool import Pool
from db.projections import Position
from db.transaction import Writing, reading, writing
from db.webhooks import projecting
from db.webhooks.keeping import newest_unprojected
from db.webhooks.projecting import Asking
from streams.consumers.plan import ConsumerPlan, Handled, Handling, Permanent
from streams.consumers.projection import projected
from streams.kafka.topics import TASK_EVENTS

__all__ = ["NAME", "catch_up", "webhook_projection", "webhooks"]

NAME: Final = "webhooks"
TEAMS_AT_ONCE: Final = 100


def webhooks(pool: Pool, wake: Callable[[], None]) -> ConsumerPlan:
    """The consumer group `taskforge.webhooks`, over the worker's pool. `wake` hears that there is something to send."""
    return ConsumerPlan(NAME, TASK_EVENTS, webhook_projection(pool, wake))


def webhook_projection(pool: Pool, wake: Callable[[], None]) -> Handling:
    """How an event is handled. Teams without subscriptions cost one look."""
    apply = projected(pool, _add_deliveries, projecting.drop_lost)

    async def handle(consumer: str, row: JournalRow) -> Handled:
        async with reading(pool, None) as tx:
            place = await projecting.place_of(tx, consumer, row.team_id)
        if place is None:
            return "passed"
        if row.seq <= place.start_seq:
            return "expired"
        if _is_before_the_start(place.position, row, place.start_seq):
            await _begin(pool, consumer, row, place.start_seq)
        handled = await apply(consumer, row)
        if handled == "applied":
            wake()
        return handled

    return handle


async def catch_up(pool: Pool, handle: Handling) -> int:
    """Have the projection come to the newest event of every team that it is behind with; how many teams these were.

    An event that is committed while a subscription is being made may be handled before the subscription can be seen.
    This also keeps webhooks on their way while the broker is away.
    """
    async with reading(pool, None) as tx:
        behind = await newest_unprojected(tx, NAME, TEAMS_AT_ONCE)
    for row in behind:
        await handle(NAME, row)
    return len(behind)


def _is_before_the_start(place: Position, row: JournalRow, start_seq: int) -> bool:
    return place.seq == 0 or (place.epoch == row.epoch and place.seq < start_seq)


async def _begin(pool: Pool, consumer: str, row: JournalRow, start_seq: int) -> None:
    """Nothing before the first start mark is anybody's business, and it is not read either."""
    async with writing(pool) as tx:
        position = await projections.hold(tx, consumer, row.team_id)
        if _is_before_the_start(position, row, start_seq):
            await projections.move(tx, consumer, row.team_id, Position(start_seq, row.epoch))


async def _add_deliveries(tx: Writing, row: JournalRow) -> None:
    for asking in await projecting.asking_for(tx, row):
        if await _is_asked_for(tx, row, asking):
            await projecting.add_delivery(tx, row, asking)


async def _is_asked_for(tx: Writing, row: JournalRow, asking: Asking) -> bool:
    past = await projecting.data_before(tx, row) if needs_past(row, asking.filter) else None
    try:
        return matches(row, asking.event_types, asking.filter, past)
    except msgspec.MsgspecError as error:
        raise Permanent(f"{row.type} with data of another shape: {error}") from error
