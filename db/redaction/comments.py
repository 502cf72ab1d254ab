"""What is left of a deleted comment beside its row, which is gone, and the journal."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from core.redaction import COMMENT_TEXTS
from db.redaction.role import as_redactor
from db.redaction.tasks import REDACTED_BODY
from db.transaction import Reading, Writing

__all__ = ["comment_is_written_about", "forget_comment"]

# The last row never said more than which comment it was. Its data begins with the comment (`core/codec.py`).
_WRITTEN: Final = """
select exists (
    select from task_events where team_id = $1 and subject_id = $2 and salt is not null
      and type in ('comment.added', 'comment.edited')
      and starts_with(payload, '{"comment":{"id":"' || $3::uuid::text || '"')
)
"""
_NOTIFICATIONS: Final = (
    "delete from notifications where team_id = $1 and task_id = $2 and data ->> 'comment_id' = $3::text"
)
# A refusal may quote a comment without naming it, as a 412 does: all of the team's go.
_REFUSALS: Final = "update idempotency_keys set body = $2 where team_id = $1 and status >= 400"
_ANSWERS: Final = """
select principal, key, body from idempotency_keys
where team_id = $1 and position(convert_to($2::uuid::text, 'UTF8') in body) > 0 for update
"""
_EMPTY: Final = "update idempotency_keys set body = $3 where principal = $1 and key = $2"
_TEXTS: Final[Mapping[str, Any]] = {**COMMENT_TEXTS, "html": ""}
"""What an answer that shows a comment says of it afterwards."""


async def comment_is_written_about(tx: Reading, team_id: UUID, task_id: UUID, comment_id: UUID) -> bool:
    """Whether the journal still says what the comment said. For a transaction of the worker's."""
    return bool(await tx.fetchval(_WRITTEN, team_id, task_id, comment_id))


async def forget_comment(tx: Writing, team_id: UUID, task_id: UUID, comment_id: UUID) -> None:
    """Take the comment out of notifications and stored answers, in a transaction of the worker's."""
    async with as_redactor(tx):
        await tx.execute(_NOTIFICATIONS, team_id, task_id, str(comment_id))
        await tx.execute(_REFUSALS, team_id, REDACTED_BODY)
        for row in await tx.fetch(_ANSWERS, team_id, comment_id):
            await tx.execute(_EMPTY, row["principal"], row["key"], _without_text(row["body"], comment_id))


def _without_text(answer: bytes, comment_id: UUID) -> bytes:
    """The answer that shows the comment, in the shape that it is documented to have; any other is forgotten whole."""
    shown = msgspec.json.decode(answer)
    if not isinstance(shown, dict) or shown.get("id") != str(comment_id):
        return REDACTED_BODY
    return msgspec.json.encode({**shown, **_TEXTS})
