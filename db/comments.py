"""Comments as their readers ask for them. Every function demands whose eyes it reads with, as in `readmodel.py`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from core.codec import JournalRow
from core.comment import Comment
from db.journal.rows import comment_of, journal_row
from db.journal.sql import COMMENT_SELECT, EVENT_SELECT
from db.pool import Pool
from db.transaction import reading

__all__ = ["Place", "comment_location", "comment_versions", "list_comments", "stored_comment"]

Place = tuple[datetime, UUID]
"""Where a comment stands among those of its task: when it was written, and its id."""

_MEMBER: Final = "join memberships m on m.team_id = c.team_id and m.user_id = $1"
_COMMENT: Final = f"select {COMMENT_SELECT} from comments c {_MEMBER}"  # noqa: S608 (column names of our own)
_LOCATION: Final = f"select c.team_id from comments c {_MEMBER} where c.id = $2"  # noqa: S608
_ONE: Final = f"{_COMMENT} where c.team_id = $2 and c.id = $3"
_OF_TASK: Final = f"{_COMMENT} where c.team_id = $2 and c.task_id = $3"
_OLDEST: Final = f"""
{_OF_TASK} and ($4::timestamptz is null or (c.created_at, c.id) > ($4, $5::uuid)) order by c.created_at, c.id limit $6
"""
_NEWEST: Final = f"""
{_OF_TASK} and ($4::timestamptz is null or (c.created_at, c.id) < ($4, $5::uuid))
order by c.created_at desc, c.id desc limit $6
"""
# The task's events, by the index on subjects; those of the comment are known by how their data begins (`codec.py`).
_VERSIONS: Final = f"""
select {EVENT_SELECT} from task_events e join memberships m on m.team_id = e.team_id and m.user_id = $1
where e.team_id = $2 and e.subject_id = $3 and e.type in ('comment.added', 'comment.edited')
  and starts_with(e.payload, '{{"comment":{{"id":"' || $4::uuid::text || '"') and ($5::bigint is null or e.seq < $5)
order by e.seq desc limit $6
"""  # noqa: S608


async def comment_location(pool: Pool, user_id: UUID, comment_id: UUID) -> UUID | None:
    """The team, among the user's, that has this comment. Raises StorageUnavailable."""
    async with reading(pool, user_id) as rows:
        team_id: UUID | None = await rows.fetchval(_LOCATION, user_id, comment_id)
    return team_id


async def stored_comment(pool: Pool, user_id: UUID, team_id: UUID, comment_id: UUID) -> Comment | None:
    """The comment as it was last committed. Raises StorageUnavailable."""
    async with reading(pool, user_id) as rows:
        row = await rows.fetchrow(_ONE, user_id, team_id, comment_id)
    return None if row is None else comment_of(row)


async def list_comments(
    pool: Pool,
    user_id: UUID,
    team_id: UUID,
    task_id: UUID,
    *,
    after: Place | None,
    newest_first: bool,
    limit: int,
) -> Sequence[Comment]:
    """The task's comments in the order in which they were written, or the other way round, after a place in it.

    Raises StorageUnavailable.
    """
    statement, (at, last) = _NEWEST if newest_first else _OLDEST, after or (None, None)
    async with reading(pool, user_id) as rows:
        found = await rows.fetch(statement, user_id, team_id, task_id, at, last, limit)
    return list(map(comment_of, found))


async def comment_versions(
    pool: Pool, user_id: UUID, team_id: UUID, comment: Comment, *, before: int | None, limit: int
) -> Sequence[JournalRow]:
    """The events that wrote or edited the comment, newest first; those with a `seq` below `before`.

    Raises StorageUnavailable.
    """
    async with reading(pool, user_id) as rows:
        found = await rows.fetch(_VERSIONS, user_id, team_id, comment.task_id, comment.id, before, limit)
    return list(map(journal_row, found))
