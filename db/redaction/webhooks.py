"""What endpoints have answered, as far as it is kept: it may quote what they were sent.

What they are sent is kept nowhere: it is made of the journal row whenever it is sent, and a redacted row says nothing.
"""

from typing import Final
from uuid import UUID

from db.transaction import Writing

__all__ = ["forget_excerpts_of_task", "forget_excerpts_of_user"]

_OF_TASK: Final = """
update webhook_attempts a set response = '' from webhook_deliveries d
where d.team_id = $1 and d.task_id = $2 and a.team_id = d.team_id and a.delivery_id = d.id and a.response <> ''
"""
# A name or an address stands there in any coding, so that no text can be searched for: all of the user's teams' go.
_OF_USER: Final = """
update webhook_attempts set response = '' where response <> '' and team_id in (
    select team_id from memberships where user_id = $1 union select team_id from former_members where user_id = $1
)
"""


async def forget_excerpts_of_task(tx: Writing, team_id: UUID, task_id: UUID) -> None:
    """Empty what endpoints answered to events about the task, as the redactor."""
    await tx.execute(_OF_TASK, team_id, task_id)


async def forget_excerpts_of_user(tx: Writing, user_id: UUID) -> None:
    """Empty what endpoints of the user's teams have answered, as the redactor."""
    await tx.execute(_OF_USER, user_id)
