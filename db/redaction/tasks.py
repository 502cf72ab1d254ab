"""What is left of a task that was deleted for good beside its row, which is gone, and the journal."""

from typing import Final
from uuid import UUID

from core.redaction import DELETED_TASK
from db.forgotten_bodies import FORGOTTEN_BODY, NO_TEXT, REDACTED_BODY, SHOWS_COMMENT, WITHOUT_COMMENT
from db.redaction.role import as_redactor
from db.redaction.webhooks import forget_excerpts_of_task
from db.transaction import Reading, Writing

__all__ = ["forget_answers", "forget_task", "is_written_about"]

_NOTIFICATIONS: Final = """
update notifications set data = json_build_object('key', data ->> 'key', 'title', $3::text)
where team_id = $1 and task_id = $2
"""
_COMMENTS: Final = f"""
update idempotency_keys set body = {WITHOUT_COMMENT % "$3"}
where team_id = $1 and status < 400 and position(convert_to($2::uuid::text, 'UTF8') in body) > 0 and {SHOWS_COMMENT}
"""  # noqa: S608 (the text above)
# A refusal may quote a task without naming it, as a 412 does: all of the team's go.
_REPLIES: Final = f"""
update idempotency_keys set body = {FORGOTTEN_BODY % "$3"}
where team_id = $1 and (
    status >= 400 or (position(convert_to($2::uuid::text, 'UTF8') in body) > 0 and not {SHOWS_COMMENT})
)
"""  # noqa: S608 (as above)


# Rows whose payload is as it was written, but for the last one, which never said more than which task it was.
_WRITTEN: Final = """
select exists (
    select from task_events where team_id = $1 and subject_id = $2 and salt is not null and type <> 'task.deleted'
)
"""


async def is_written_about(tx: Reading, team_id: UUID, task_id: UUID) -> bool:
    """Whether the journal still says what was written in the task. For a transaction of the worker's."""
    return bool(await tx.fetchval(_WRITTEN, team_id, task_id))


async def forget_task(tx: Writing, team_id: UUID, task_id: UUID) -> None:
    """Take the task's text out of notifications and stored answers, in a transaction of the worker's."""
    async with as_redactor(tx):
        await tx.execute(_NOTIFICATIONS, team_id, task_id, DELETED_TASK)
        await forget_answers(tx, team_id, task_id)
        await forget_excerpts_of_task(tx, team_id, task_id)


async def forget_answers(tx: Writing, team_id: UUID, subject: UUID) -> None:
    """Take the text of a task or a comment out of stored answers, as the redactor."""
    await tx.execute(_COMMENTS, team_id, subject, NO_TEXT)
    await tx.execute(_REPLIES, team_id, subject, REDACTED_BODY)
