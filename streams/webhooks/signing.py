"""The headers by which a receiver knows a webhook: Standard Webhooks, and our own of where the event stands.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from standardwebhooks import Webhook

from core.codec import event_id
from core.webhooks import id_of_test
from db.webhooks.claiming import Claimed
from streams.webhooks.client import Header

__all__ = ["headers_of", "webhook_id"]


def webhook_id(claimed: Claimed) -> str:
    """What stays the same for all attempts: the event's own id, so that a receiver knows it from any subscription."""
    return id_of_test(claimed.id) if claimed.row is None else event_id(claimed.row)


def headers_of(claimed: Claimed, secrets: Sequence[str], body: bytes, media_type: bytes, now: datetime) -> list[Header]:
    """The headers for these bytes, signed with each of the secrets: during a rotation there are several."""
    name, text = webhook_id(claimed), body.decode()
    signatures = " ".join(Webhook(secret).sign(name, now, text) for secret in secrets)
    headers = [
        (b"Content-Type", media_type),
        (b"Webhook-Id", name.encode()),
        (b"Webhook-Timestamp", b"%d" % int(now.timestamp())),
        (b"Webhook-Signature", signatures.encode()),
        (_SEQ, b"%d" % claimed.seq),
        (_PREV_SEQ, b"%d" % claimed.prev_seq),
        (_EPOCH, b"%d" % claimed.epoch),
    ]
    if claimed.row is not None and claimed.row.traceparent:
        headers.append((_TRACEPARENT, claimed.row.traceparent.encode()))
    return headers


_SEQ: Final = b"TaskForge-Seq"
_PREV_SEQ: Final = b"TaskForge-Prev-Seq"
_EPOCH: Final = b"TaskForge-Epoch"
_TRACEPARENT: Final = b"traceparent"
"""The trace of the request that the event came of (https://www.w3.org/TR/trace-context/), as the event has it."""
