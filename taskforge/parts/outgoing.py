"""What leaves for other systems: the sender of webhooks. Loaded by workers only."""

from functools import partial

import anyio

from core.errors import StorageUnavailable
from db.webhooks.secrets import WebhookSecrets
from streams.consumers.webhooks import catch_up, webhook_projection
from streams.webhooks.client import WebhookClient
from streams.webhooks.sender import WebhookSender, logger
from streams.webhooks.telling import tell_managers
from streams.webhooks.urls import Rules
from taskforge.parts.background import Background, at_once
from taskforge.parts.composition import Composition
from taskforge.parts.work_samples import webhook_samples

__all__ = ["webhook_sender"]

CATCH_UP_SECONDS = 5.0


def webhook_sender(made: Composition) -> WebhookSender:
    """The sender, with its numbers, and what looks after its projection."""
    wanted = made.settings.webhooks
    sender = made.webhooks = WebhookSender(
        made.pools.worker,
        WebhookClient(Rules(wanted.ports, wanted.loopback)),
        WebhookSecrets(made.keys),
        tell_managers,
        at_once=wanted.at_once,
        per_endpoint=wanted.per_endpoint,
        site=made.settings.http.site,
    )
    made.base.append(Background("webhook-gaps", at_once(partial(_catch_up_always, made, sender))))
    made.show(lambda: webhook_samples(sender.statistics()))
    return sender


async def _catch_up_always(made: Composition, sender: WebhookSender) -> None:
    handle = webhook_projection(made.pools.worker, sender.wake)
    while True:
        await anyio.sleep(CATCH_UP_SECONDS)
        try:
            await catch_up(made.pools.worker, handle)
        except StorageUnavailable as error:
            logger.warning("the projection of webhooks waits: %s", error)
