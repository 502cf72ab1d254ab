"""The files of tasks, as members read them. A team decides which there are; their bytes are objects of the same ids."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.events import Attachment
from db.journal.nouns import ATTACHMENT_COLUMNS
from db.journal.rows import attachment_of
from db.pool import Pool
from db.transaction import reading

__all__ = ["Located", "attachments_of", "find_attachment"]

_FROM: Final = (
    f"select {', '.join(f'a.{name}' for name in ATTACHMENT_COLUMNS)} from attachments a"  # noqa: S608 (our own names)
    " join memberships m on m.team_id = a.team_id and m.user_id = $1"
)
_FIND: Final = f"{_FROM} where a.id = $2"
_OF_TASK: Final = f"""
{_FROM} where a.team_id = $2 and a.task_id = $3 and ($4::uuid is null or a.id > $4) order by a.id limit $5
"""


class Located(Struct, frozen=True):
    """An attachment and its team."""

    team_id: UUID
    attachment: Attachment


async def find_attachment(pool: Pool, user_id: UUID, attachment_id: UUID) -> Located | None:
    """The attachment, in one of the user's teams."""
    async with reading(pool, user_id) as tx:
        row = await tx.fetchrow(_FIND, user_id, attachment_id)
    return None if row is None else Located(row["team_id"], attachment_of(row))


async def attachments_of(
    pool: Pool, user_id: UUID, team_id: UUID, task_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[Attachment]:
    """The task's attachments, oldest first; those after the one named."""
    async with reading(pool, user_id) as tx:
        return list(map(attachment_of, await tx.fetch(_OF_TASK, user_id, team_id, task_id, after, limit)))
