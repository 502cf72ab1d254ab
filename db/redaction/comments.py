"""What is left of a deleted comment beside its row, which is gone, and the journal."""

from typing import Final
from uuid import UUID

from db.redaction.role import as_redactor
from db.redaction.tasks import forget_answers
from db.redaction.webhooks import forget_excerpts_of_task
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


async def comment_is_written_about(tx: Reading, team_id: UUID, task_id: UUID, comment_id: UUID) -> bool:
    """Whether the journal still says what the comment said. For a transaction of the worker's."""
    return bool(await tx.fetchval(_WRITTEN, team_id, task_id, comment_id))


async def forget_comment(tx: Writing, team_id: UUID, task_id: UUID, comment_id: UUID) -> None:
    """Take the comment out of notifications and stored answers, in a transaction of the worker's."""
    async with as_redactor(tx):
        await tx.execute(_NOTIFICATIONS, team_id, task_id, str(comment_id))
        await forget_answers(tx, team_id, comment_id)
        await forget_excerpts_of_task(tx, team_id, task_id)
