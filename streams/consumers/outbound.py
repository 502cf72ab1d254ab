"""Effects outside the database (a mail, a webhook, a file): claimed first, caused at least once, under a stable id.

The claim is a durable inbox row and is committed before the effect, which therefore runs in no transaction and holds no
connection. Whoever dies in between leaves a claim that runs out; the event is then delivered again and the effect is
caused once more, under the same id, by which the other side can recognise it.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final, Literal

import anyio
from msgspec import Struct

from core.codec import JournalRow, event_id
from core.errors import StorageUnavailable
from db import inbox
from db.pool import Pool
from db.transaction import Reading, writing
from streams.consumers.plan import Busy, Handled, Handling
from streams.consumers.transactional import every_event
from streams.kafka.topics import FAILED_DAYS

__all__ = ["Outbound", "OutboundEffect", "StartMark", "outbound"]

logger = logging.getLogger(__name__)

OLDEST: Final = timedelta(days=FAILED_DAYS)
RELEASE_SECONDS: Final = 2.0
MARGIN_SECONDS: Final = 10.0
"""A claim outlives its effect by this much, so that it does not run out while the effect is being marked as applied."""

OutboundEffect = Callable[[str, Any], Awaitable[bool | None]]
"""Causes something outside, given the id that stays the same for every attempt, and the event or job. It returns
nothing, or whether there was anything to cause."""

StartMark = Callable[[Reading, JournalRow], Awaitable[int]]
"""The `seq` of the event's team when the consumer began: this event and all before it are none of its business."""


class Outbound(Struct, frozen=True, kw_only=True):
    """`concerns` says by the event alone whether there is anything to cause; one attempt may take `seconds`.

    `id_of` and `at_of` are those of a journal row, unless it is about something else than events.
    """

    effect: OutboundEffect
    id_of: Callable[[Any], str] = event_id
    at_of: Callable[[Any], datetime] = attrgetter("at")
    concerns: Callable[[Any], bool] = every_event
    start_mark: StartMark | None = None
    seconds: float = 20.0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def outbound(pool: Pool, wanted: Outbound) -> Handling:
    """Claim the event over `pool`, cause the effect, mark the event as applied.

    What happened more than two weeks ago, or before the consumer's start mark, is expired: a topic that is written anew
    repeats no mail and no webhook.
    """

    async def handle(consumer: str, row: Any) -> Handled:
        if not wanted.concerns(row):
            return "passed"
        claim = await _claim(pool, wanted, consumer, row)
        match claim:
            case "expired":
                return "expired"
            case "applied":
                return "passed"
            case "busy":
                raise Busy(f"{wanted.id_of(row)} is being handled by another delivery")
        caused = await _cause(pool, wanted, consumer, row, claim)
        async with writing(pool) as tx:
            await inbox.mark_applied(tx, consumer, wanted.id_of(row))
        return "passed" if caused is False else "applied"

    return handle


async def _claim(pool: Pool, wanted: Outbound, consumer: str, row: Any) -> "inbox.Claim | Literal['expired']":
    if wanted.at_of(row) < wanted.now() - OLDEST:
        return "expired"
    async with writing(pool) as tx:
        if wanted.start_mark is not None and row.seq <= await wanted.start_mark(tx, row):
            return "expired"
        return await inbox.claim(tx, consumer, wanted.id_of(row), wanted.seconds + MARGIN_SECONDS)


async def _cause(pool: Pool, wanted: Outbound, consumer: str, row: Any, claim: datetime) -> bool | None:
    """Run the effect, bounded in time. When it fails, or is cut off, the next delivery need not wait for the claim."""
    try:
        with anyio.fail_after(wanted.seconds):
            return await wanted.effect(wanted.id_of(row), row)
    except BaseException:
        with anyio.move_on_after(RELEASE_SECONDS, shield=True):
            await _release(pool, consumer, wanted.id_of(row), claim)
        raise


async def _release(pool: Pool, consumer: str, event: str, claim: datetime) -> None:
    try:
        async with writing(pool) as tx:
            await inbox.release(tx, consumer, event, claim)
    except StorageUnavailable as error:
        logger.warning("the claim of %s runs out by itself: %s", event, error)
