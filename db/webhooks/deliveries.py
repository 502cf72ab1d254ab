"""The delivery log as the admins of a team read it, and what is sent again at their word.

What is sent again keeps its row, and with it the id by which receivers know it. Every function runs in a transaction of
the admin's; those that write hold the subscription first.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct

from core.errors import Conflict, NotFound
from core.webhooks import DELAYS, DISABLED, OLDEST, TEST_TYPE
from db.ids import LAST_ID, new_id
from db.transaction import Reading, Writing
from db.webhooks.subscriptions import Subscription

__all__ = [
    "AGAIN",
    "Again",
    "Attempt",
    "Delivery",
    "DeliveryStatus",
    "add_test",
    "attempts_of",
    "find_delivery",
    "list_deliveries",
    "recover",
    "redeliver",
]

DeliveryStatus = Literal["pending", "delivered", "failed", "expired"]
"""Waiting for an attempt; answered with a 2xx; given up; too old to be sent."""

Again = Literal["failed", "pending"]
"""What may be sent again at once: what was given up, and what waits for its next attempt."""
AGAIN: Final[tuple[Again, ...]] = ("failed", "pending")


class Delivery(Struct, frozen=True, kw_only=True):
    """One event for one subscription. `next_at` is when it is tried next; `last_…` are of the newest attempt to end.

    `blocked_by` is the delivery that goes before it where events go in order: it has no `next_at` until that has ended.
    A `last_error` of `disabled` says that it was given up with its subscription. A test has the `seq` 0, and no place
    among the events.
    """

    id: UUID
    team_id: UUID
    subscription_id: UUID
    event_type: str
    epoch: int
    seq: int
    prev_seq: int
    task_id: UUID | None
    happened_at: datetime
    created_at: datetime
    status: DeliveryStatus
    attempts: int
    blocked_by: UUID | None
    next_at: datetime | None
    ended_at: datetime | None
    last_status: int | None
    last_error: str | None
    last_duration_ms: int | None


class Attempt(Struct, frozen=True, kw_only=True):
    """One request. `status` is the answer's; without one, `error` says why there is none."""

    number: int
    at: datetime
    status: int | None
    error: str | None
    duration_ms: int | None
    response: str


async def list_deliveries(
    tx: Reading,
    subscription: Subscription,
    *,
    status: DeliveryStatus | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Delivery]:
    """The subscription's deliveries, newest first."""
    place = (subscription.team_id, subscription.id, before or LAST_ID, limit)
    found = await (tx.fetch(_LIST, *place) if status is None else tx.fetch(_LIST_OF_STATUS, *place, status))
    return list(map(_delivery, found))


async def find_delivery(tx: Reading, delivery_id: UUID) -> Delivery:
    """The delivery, of whichever of the user's teams. Raises NotFound."""
    row = await tx.fetchrow(_FIND, delivery_id)
    if row is None:
        raise NotFound("delivery")
    return _delivery(row)


async def attempts_of(tx: Reading, delivery: Delivery) -> Sequence[Attempt]:
    """The delivery's attempts, oldest first, at most the newest hundred of them."""
    rows = await tx.fetch(_ATTEMPTS, delivery.team_id, delivery.id)
    return [Attempt(**row) for row in reversed(rows)]


async def add_test(tx: Writing, held: Subscription) -> Delivery:
    """A delivery of an event that is none, to be tried once. Raises Conflict for a subscription that is disabled."""
    _check_enabled(held)
    delivery_id = new_id()
    await tx.execute(_TEST, held.team_id, delivery_id, held.id, TEST_TYPE)
    await _wake(tx, held)
    return await find_delivery(tx, delivery_id)


async def redeliver(tx: Writing, held: Subscription, delivery: Delivery) -> Delivery:
    """Begin the delivery's schedule anew, at once; one whose attempt is on its way is left to it.

    Raises Conflict for a subscription that is disabled, and for an event of more than two weeks ago.
    """
    _check_enabled(held)
    if not await tx.execute(_REDELIVER, delivery.team_id, delivery.id, OLDEST):
        raise Conflict("too-old", "The event happened more than 14 days ago: it is not sent any more.")
    await _wake(tx, held)
    return await find_delivery(tx, delivery.id)


async def recover(tx: Writing, held: Subscription, since: datetime, again: Sequence[Again] = AGAIN) -> int:
    """Send at once what failed or waits of the events since then, each with its schedule anew; how many.

    Whoever asks for this says that the endpoint is well: a pause of it ends, and it is asked carefully (one request at
    a time) until one succeeds. Events of more than two weeks ago are left out, and so are attempts that are on their
    way. Raises Conflict for a subscription that is disabled.
    """
    _check_enabled(held)
    recovered = await tx.execute(_RECOVER, held.team_id, held.id, since, OLDEST, list(again))
    if recovered:
        await tx.execute(_DUE_WELL, held.team_id, held.id)
    return recovered


def _check_enabled(held: Subscription) -> None:
    if held.disabled_at is not None:
        raise Conflict("webhook-disabled", "This webhook is disabled: enable it first.")


async def _wake(tx: Writing, held: Subscription) -> None:
    await tx.execute(_DUE, held.team_id, held.id)


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return Delivery(**row)


# What failed before the end of its schedule was given up with its subscription, unless its own answer was the reason.
_GIVEN_UP: Final = f"""
d.status = 'failed' and (
    d.last_status is null and d.last_error is null
    or d.seq > 0 and d.step < {len(DELAYS) - 1} and d.last_status is distinct from 410
        and d.last_error is distinct from 'history-rewritten'
)
"""
# Where events go in order, nothing but the first of those that wait is tried, whatever is written in the others; and
# nothing is tried while its endpoint is left alone.
_SHOWN: Final = f"""
select d.id, d.team_id, d.subscription_id, d.event_type, d.epoch, d.seq, d.prev_seq, d.task_id, d.happened_at,
    d.created_at, d.status, d.attempts, nullif(first.id, d.id) as blocked_by,
    case when d.status = 'pending' and coalesce(first.id, d.id) = d.id then greatest(d.next_at, s.paused_until) end
        as next_at,
    d.ended_at, d.last_status, case when {_GIVEN_UP} then '{DISABLED}' else d.last_error end as last_error,
    d.last_duration_ms
from webhook_deliveries d join webhook_subscriptions s on s.team_id = d.team_id and s.id = d.subscription_id
left join lateral (
    select h.id from webhook_deliveries h
    where s.in_order and d.status = 'pending' and h.subscription_id = s.id and h.status = 'pending'
    order by h.epoch, h.seq limit 1
) first on true
"""  # noqa: S608 (names of our own)
_FIND: Final = f"{_SHOWN} where d.id = $1"
_LIST: Final = f"""
{_SHOWN} where d.team_id = $1 and d.subscription_id = $2 and d.id < $3 order by d.id desc limit $4
"""
_LIST_OF_STATUS: Final = f"""
{_SHOWN} where d.team_id = $1 and d.subscription_id = $2 and d.id < $3 and d.status = $5 order by d.id desc limit $4
"""
# What an endpoint has answered may quote what it was sent.
_ATTEMPTS: Final = """
select a.number, a.at, a.status, a.error, a.duration_ms, case when exists (
        select from webhook_deliveries d join redactions_due f on f.team_id = d.team_id and f.task_id = d.task_id
        where d.team_id = a.team_id and d.id = a.delivery_id
    ) then '' else a.response end as response
from webhook_attempts a where a.team_id = $1 and a.delivery_id = $2 order by a.number desc limit 100
"""
_TEST: Final = """
insert into webhook_deliveries (team_id, id, subscription_id, event_type, epoch, seq, prev_seq, happened_at, status)
values ($1, $2, $3, $4, 1, 0, 0, now(), 'pending')
"""
_REDELIVER: Final = """
update webhook_deliveries set
    status = 'pending', ended_at = null,
    step = case when status = 'pending' and claim is not null then step else 0 end,
    next_at = case when status = 'pending' and claim is not null then next_at else now() end
where team_id = $1 and id = $2 and happened_at > now() - $3::interval
"""
_RECOVER: Final = """
update webhook_deliveries set status = 'pending', ended_at = null, step = 0, next_at = least(next_at, now())
where team_id = $1 and subscription_id = $2 and status = any($5::text[]) and (status = 'failed' or claim is null)
  and seq > 0 and happened_at >= $3 and happened_at > now() - $4::interval
"""
_DUE_WELL: Final = """
update webhook_subscriptions set due_at = least(due_at, now()), paused_until = '-infinity'
where team_id = $1 and id = $2
"""
_DUE: Final = "update webhook_subscriptions set due_at = least(due_at, now()) where team_id = $1 and id = $2"
