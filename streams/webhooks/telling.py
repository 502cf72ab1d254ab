"""Telling the managers of a team that a webhook fails, or was switched off: in the inbox and by mail, as each likes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from core.notices import NoticeKind
from core.webhooks import Notice as WebhookNotice
from db.notices.notify import Notice, notify_managers
from db.transaction import Writing
from db.webhooks.claiming import Told

__all__ = ["tell_managers"]

_KINDS: Final[Mapping[WebhookNotice, NoticeKind]] = {"failing": "webhook.failing", "disabled": "webhook.disabled"}


async def tell_managers(tx: Writing, told: Told) -> None:
    """Once a day for each webhook and notice, in the transaction that writes what came of its attempts."""
    now = datetime.now(UTC)
    notice = Notice(
        team_id=told.team_id,
        event_id=f"webhook:{told.subscription_id}:{told.notice}:{now.date()}",
        subject_id=told.subscription_id,
        at=now,
        data={"webhook_id": str(told.subscription_id), "reason": told.reason},
    )
    await notify_managers(tx, _KINDS[told.notice], notice, now=now)
