"""Secrets of webhooks, by which receivers know what is genuine. They are shown once and stored sealed.

Their form is that of Standard Webhooks: `whsec_` and 32 random bytes in Base64.
"""

import base64
import secrets
from typing import Final
from uuid import UUID

from db.keyset import BrokenSeal, Keyset

__all__ = ["PREFIX", "WebhookSecrets"]

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32


class WebhookSecrets:
    """Makes secrets, seals them for storage and opens them for signing."""

    def __init__(self, keyset: Keyset) -> None:
        self._keyset = keyset

    def new(self, subscription_id: UUID) -> tuple[str, bytes]:
        """A new secret and its sealed form, which opens for this subscription only."""
        secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        return secret, self._keyset.seal("webhook-secrets", secret.encode(), subscription_id.bytes)

    def open(self, subscription_id: UUID, sealed: bytes) -> str | None:
        """The secret, or None when the key that sealed it has left the keyset."""
        try:
            return self._keyset.open("webhook-secrets", sealed, subscription_id.bytes).decode()
        except BrokenSeal:
            return None
