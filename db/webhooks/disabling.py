"""Switching a subscription off, by hand or because its endpoint has had its chances: what waits for it has failed."""

from typing import Final
from uuid import UUID

from core.webhooks import DisabledReason
from db.transaction import Writing

__all__ = ["disable"]


async def disable(
    tx: Writing, team_id: UUID, subscription_id: UUID, reason: DisabledReason, *, ahead: float = 0.0
) -> bool:
    """Whether it was on until now. For whoever holds the subscription; `ahead` is as in `README.md`."""
    if not await tx.execute(_DISABLE, team_id, subscription_id, reason, ahead):
        return False
    await tx.execute(_FAIL_WAITING, team_id, subscription_id, ahead)
    return True


_DISABLE: Final = """
update webhook_subscriptions set disabled_at = now() + make_interval(secs => $4), disabled_reason = $3
where team_id = $1 and id = $2 and disabled_at is null
"""
_FAIL_WAITING: Final = """
update webhook_deliveries set status = 'failed', ended_at = now() + make_interval(secs => $3), claim = null
where team_id = $1 and subscription_id = $2 and status = 'pending'
"""
