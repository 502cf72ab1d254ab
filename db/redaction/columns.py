"""What every column with text or bytes in it holds, and what empties those that tell of somebody.

A test compares this with the catalogue, so that a new column needs a decision here, and another searches a database for
what a user and a task left behind, so that the decision is true.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

__all__ = ["COLUMNS", "FREE_TEXT", "NOTHING", "PERSONAL", "Column", "Holds", "Subject"]

Holds = Literal["nothing", "personal", "free text"]
"""Nothing that tells of a person; what identifies one, or says how they can be reached or where they were; what people
have written."""
Subject = Literal["user", "task", "team"]
"""With whose end a column is emptied: of a user who is erased, a task that is deleted for good, or the team itself."""


class Column(Struct, frozen=True):
    """What a column holds, and with whose end it is emptied or its row deleted."""

    holds: Holds
    ends_with: tuple[Subject, ...] = ()


NOTHING: Final = Column("nothing")
PERSONAL: Final = Column("personal", ("user",))
FREE_TEXT: Final = Column("free text", ("task",))
_OF_TEAM: Final = Column("free text", ("team",))

COLUMNS: Final[Mapping[str, Mapping[str, Column]]] = {
    "account_tokens": {"purpose": NOTHING, "token_hash": NOTHING, "email": PERSONAL},
    "api_keys": {"token_hash": NOTHING, "prefix": NOTHING, "name": PERSONAL, "scopes": NOTHING},
    "attachments": {"name": FREE_TEXT, "media_type": NOTHING, "digest": NOTHING},
    "board_snapshots": {"digest": NOTHING, "format": NOTHING, "key": NOTHING, "sha256": NOTHING},
    "checkpoint_things": {"kind": NOTHING, "hash": NOTHING},
    "checkpoints": {"digest": NOTHING, "chain": NOTHING, "incarnation": NOTHING},
    "columns": {"name": _OF_TEAM, "category": NOTHING, "rank": NOTHING},
    "comments": {"body": FREE_TEXT},
    # Whoever operates an installation is none of its users. What they said goes after a year.
    "dead_letter_replays": {"who": NOTHING, "why": NOTHING, "wanted": NOTHING},
    "external_identities": {"identity_hash": PERSONAL, "issuer": NOTHING, "subject": PERSONAL},
    "external_sign_ins": {"state_hash": NOTHING, "code_hash": NOTHING},
    "former_members": {"role": NOTHING, "name": PERSONAL},
    "idempotency_keys": {
        "key": NOTHING,
        "fingerprint": NOTHING,
        "headers": NOTHING,
        "body": Column("free text", ("user", "task")),
    },
    "inbox": {"consumer": NOTHING, "event_id": NOTHING},
    "invitations": {"token_hash": NOTHING, "email": PERSONAL, "role": NOTHING},
    "labels": {"name": _OF_TEAM, "color": NOTHING},
    "live_tickets": {"ticket_hash": NOTHING, "network": PERSONAL},
    "memberships": {"role": NOTHING, "name": PERSONAL},
    "moved_mornings": {"schedule": NOTHING, "time_zone": PERSONAL},
    "notification_preferences": {"kind": NOTHING, "channel": NOTHING},
    "notifications": {"kind": NOTHING, "event_id": NOTHING, "data": FREE_TEXT, "actor_name": PERSONAL},
    "objects": {
        "kind": NOTHING,
        "key": NOTHING,
        "name": Column("free text", ("user", "task")),
        "media_type": NOTHING,
        "sha256": NOTHING,
        "claimed_sha256": NOTHING,
        "thumbnail_key": NOTHING,
    },
    "operations": {
        "kind": NOTHING,
        "status": NOTHING,
        "steps": NOTHING,
        "data": NOTHING,
        "result": NOTHING,
        "error": NOTHING,
        "traceparent": NOTHING,
    },
    "outbox": {"topic": NOTHING, "key": NOTHING, "payload": NOTHING, "traceparent": NOTHING},
    "outbox_sent": {"topic": NOTHING, "key": NOTHING, "payload": NOTHING, "traceparent": NOTHING, "life": NOTHING},
    "projections": {"name": NOTHING},
    "refresh_tokens": {"token_hash": NOTHING, "successor_sealed": NOTHING},
    "replayed_dead_letters": {"incarnation": NOTHING, "consumer": NOTHING},
    "reports": {"kind": NOTHING},
    "schedule_marks": {"schedule": NOTHING, "occurrence": NOTHING},
    "schedules": {"name": NOTHING},
    "search_documents": {"text": FREE_TEXT},
    "sessions": {"user_agent": PERSONAL, "ip": PERSONAL},
    "task_events": {
        "type": NOTHING,
        "payload": Column("free text", ("user", "task")),
        "traceparent": NOTHING,
        "salt": NOTHING,
        "digest": NOTHING,
        "actor_kind": NOTHING,
    },
    "tasks": {
        "title": FREE_TEXT,
        "description": FREE_TEXT,
        "status": NOTHING,
        "priority": NOTHING,
        "rank": NOTHING,
        "external_id": FREE_TEXT,
        "external_source": FREE_TEXT,
        "recurrence": NOTHING,
    },
    "teams": {"name": _OF_TEAM, "key": _OF_TEAM, "time_zone": NOTHING, "wip": NOTHING},
    "webhook_attempts": {"error": NOTHING, "response": Column("free text", ("user", "task"))},
    "webhook_deliveries": {"event_type": NOTHING, "status": NOTHING, "last_error": NOTHING},
    "webhook_subscriptions": {
        "url": _OF_TEAM,
        "description": _OF_TEAM,
        "event_types": NOTHING,
        "statuses": NOTHING,
        "format": NOTHING,
        "secret": NOTHING,
        "previous_secret": NOTHING,
        "older_secrets": NOTHING,
        "disabled_reason": NOTHING,
    },
    "users": {"email": PERSONAL, "name": PERSONAL, "password_hash": PERSONAL, "time_zone": PERSONAL},
}
"""By table and column: every one of text, JSON, bytes or an address."""
