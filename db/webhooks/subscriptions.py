"""Subscriptions as the admins of a team make, read and change them: every function runs in a transaction of theirs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from core.errors import Conflict, Forbidden, NotFound, QuotaReached
from core.webhooks import DisabledReason, Filter, Format
from db.ids import LAST_ID
from db.transaction import Reading, Writing
from db.webhooks.disabling import disable

__all__ = [
    "Subscription",
    "Wanted",
    "change_subscription",
    "create_subscription",
    "delete_subscription",
    "filter_of",
    "find_subscription",
    "hold_subscription",
    "list_subscriptions",
    "rotate_secret",
]

ROTATION_HOURS: Final = 24
MOST_PREVIOUS: Final = 5
"""Secrets that sign beside the newest one; each makes the header longer."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What an admin says of a subscription. No types are all types."""

    url: str
    description: str
    event_types: tuple[str, ...]
    filter: Filter
    format: Format
    in_order: bool


class Subscription(Wanted, frozen=True, kw_only=True):
    """A subscription without its secrets. Events up to `start_seq` are none of its business.

    `paused_until` is when its endpoint is next asked, after it was overloaded; None when it may be asked now.
    """

    id: UUID
    team_id: UUID
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    start_seq: int
    previous_secret_until: datetime | None
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    failing_since: datetime | None
    paused_until: datetime | None


async def create_subscription(
    tx: Writing, subscription_id: UUID, team_id: UUID, user_id: UUID, wanted: Wanted, sealed: bytes, *, most: int
) -> Subscription:
    """Add a subscription to what comes after the team's last event. Raises Forbidden, QuotaReached."""
    await tx.alone(f"webhooks of {team_id}")
    if await tx.fetchval(_NUMBER, team_id) >= most:
        detail = f"This team has {most} webhooks, and may have no more: delete one first."
        raise QuotaReached("webhooks-per-team", most, detail)
    try:
        await tx.execute(_CREATE, team_id, subscription_id, user_id, sealed, *_columns(wanted))
    except asyncpg.InsufficientPrivilegeError as error:
        # Row-level security: the role sank after it was looked at.
        raise Forbidden("manage_team") from error
    return await find_subscription(tx, subscription_id)


async def list_subscriptions(tx: Reading, team_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Subscription]:
    """The team's subscriptions, newest first."""
    return list(map(_subscription, await tx.fetch(_LIST, team_id, before or LAST_ID, limit)))


async def find_subscription(tx: Reading, subscription_id: UUID) -> Subscription:
    """The subscription, of whichever of the user's teams. Raises NotFound."""
    row = await tx.fetchrow(_FIND, subscription_id)
    if row is None:
        raise NotFound("webhook")
    return _subscription(row)


async def hold_subscription(tx: Writing, subscription_id: UUID) -> Subscription:
    """The same, locked until the transaction ends; before anything of its deliveries is. Raises NotFound."""
    row = await tx.fetchrow(_HOLD, subscription_id)
    if row is None:
        raise NotFound("webhook")
    return _subscription(row)


async def change_subscription(tx: Writing, held: Subscription, wanted: Wanted, *, enabled: bool | None) -> Subscription:
    """Write what is wanted of a subscription that is held. `enabled` switches it on or off; None leaves that.

    One that is switched on begins in good health, with the events that come from then on; what could not be delivered
    before stays in the log. What waits when it is switched off has failed.
    """
    await tx.execute(_CHANGE, held.team_id, held.id, *_columns(wanted))
    if enabled is True and held.disabled_at is not None:
        await tx.execute(_ENABLE, held.team_id, held.id)
    if enabled is False:
        await disable(tx, held.team_id, held.id, "by_hand")
    return await find_subscription(tx, held.id)


async def rotate_secret(tx: Writing, held: Subscription, sealed: bytes) -> Subscription:
    """Sign with a new secret from now on, and with each older one until 24 hours after it was replaced.

    Raises Conflict where so many sign already that one would have to end before its time.
    """
    if await tx.fetchval(_SIGNING, held.team_id, held.id) >= MOST_PREVIOUS:
        detail = f"{MOST_PREVIOUS} secrets of the last {ROTATION_HOURS} hours sign already: wait until one has ended."
        raise Conflict("too-many-rotations", detail)
    await tx.execute(_ROTATE, held.team_id, held.id, sealed, ROTATION_HOURS)
    return await find_subscription(tx, held.id)


async def delete_subscription(tx: Writing, subscription_id: UUID) -> None:
    """Delete it with its log. Raises NotFound."""
    if not await tx.execute(_DELETE, subscription_id):
        raise NotFound("webhook")


def _columns(wanted: Wanted) -> tuple[Any, ...]:
    asked = wanted.filter
    return (
        wanted.url,
        wanted.description,
        list(wanted.event_types),
        list(asked.status),
        list(asked.label),
        list(asked.assignee),
        wanted.format,
        wanted.in_order,
    )


def _subscription(row: Mapping[str, Any]) -> Subscription:
    fields = dict(row)
    fields["event_types"] = tuple(fields["event_types"])
    fields["filter"] = filter_of(row)
    for name in ("statuses", "label_ids", "assignee_ids"):
        del fields[name]
    return Subscription(**fields)


def filter_of(row: Mapping[str, Any]) -> Filter:
    """The filter that a row of a subscription has in three columns."""
    return Filter(status=tuple(row["statuses"]), label=tuple(row["label_ids"]), assignee=tuple(row["assignee_ids"]))


# Under row-level security: members see them, owners and admins change them.
_SHOWN: Final = """
id, team_id, url, description, event_types, statuses, label_ids, assignee_ids, format, in_order, created_by, created_at,
updated_at, start_seq, disabled_reason, disabled_at, failing_since,
case when previous_until > now() then previous_until end as previous_secret_until,
case when paused_until > now() then paused_until end as paused_until
"""
_NUMBER: Final = "select count(*) from webhook_subscriptions where team_id = $1"
_CREATE: Final = """
insert into webhook_subscriptions (
    team_id, id, created_by, secret, url, description, event_types, statuses, label_ids, assignee_ids, format, in_order,
    start_seq
)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, t.seq from teams t where t.id = $1
"""
_LIST: Final = f"""
select {_SHOWN} from webhook_subscriptions where team_id = $1 and id < $2 order by id desc limit $3
"""  # noqa: S608 (column names of our own)
_FIND: Final = f"select {_SHOWN} from webhook_subscriptions where id = $1"  # noqa: S608
_HOLD: Final = f"select {_SHOWN} from webhook_subscriptions where id = $1 for update"  # noqa: S608
_CHANGE: Final = """
update webhook_subscriptions set url = $3, description = $4, event_types = $5, statuses = $6, label_ids = $7,
    assignee_ids = $8, format = $9, in_order = $10, updated_at = now(), due_at = least(due_at, now())
where team_id = $1 and id = $2
"""
_ENABLE: Final = """
update webhook_subscriptions set disabled_at = null, disabled_reason = null, failing_since = null, noticed_at = null,
    throttle = 0, paused_until = '-infinity', due_at = now()
where team_id = $1 and id = $2
"""
_SIGNING: Final = """
select count(*) from webhook_subscriptions s, unnest(s.older_until || s.previous_until) as o (until)
where s.team_id = $1 and s.id = $2 and o.until > now()
"""
_ROTATE: Final = """
with signing as (
    select o.secret, o.until from webhook_subscriptions s,
        unnest(s.older_secrets || s.previous_secret, s.older_until || s.previous_until) as o (secret, until)
    where s.team_id = $1 and s.id = $2 and o.until > now()
)
update webhook_subscriptions set
    older_secrets = array(select secret from signing order by until),
    older_until = array(select until from signing order by until),
    previous_secret = secret, previous_until = now() + make_interval(hours => $4),
    secret = $3, updated_at = now()
where team_id = $1 and id = $2
"""
_DELETE: Final = "delete from webhook_subscriptions where id = $1"
