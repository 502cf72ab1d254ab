"""What commands name that is not in memory, and what happened to it: the journal's answers to `core.needs`."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from core.attached import Attached
from core.codec import JournalRow
from core.comment import Comment
from core.events import Attachment
from core.task import Task
from db.errors import storage_errors
from db.journal import sql
from db.journal.rows import attachment_of, comment_of, journal_row, task_of
from db.pool import Pool, connected

__all__ = ["Lookups"]

HISTORY_LIMIT: Final = 500


class Lookups:
    """Reads of single things, each by its key. All raise StorageUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def archived_tasks(self, team_id: UUID, task_ids: Sequence[UUID]) -> Sequence[Task]:
        """Those of the tasks that exist and are archived."""
        with storage_errors():
            found = await self._fetch(sql.ARCHIVED, team_id, list(task_ids))
        return [task_of(row, row["team_key"]) for row in found]

    async def comments(self, team_id: UUID, comment_ids: Sequence[UUID]) -> Sequence[Comment]:
        """Those of the comments that exist."""
        with storage_errors():
            return list(map(comment_of, await self._fetch(sql.COMMENTS, team_id, list(comment_ids))))

    async def attachments(self, team_id: UUID, attachment_ids: Sequence[UUID]) -> Sequence[Attachment]:
        """Those of the attachments that exist."""
        with storage_errors():
            found = await self._fetch(sql.ATTACHMENTS, team_id, list(attachment_ids))
        return list(map(attachment_of, found))

    async def attached(self, team_id: UUID) -> Attached:
        """How much is attached to the team's tasks."""
        with storage_errors():
            (found,) = await self._fetch(sql.ATTACHED, team_id)
        return Attached(**dict(found.items()))

    async def task_history(self, team_id: UUID, task_id: UUID, after: int) -> Sequence[JournalRow]:
        """The task's own rows with `seq > after`, oldest first, at most 500."""
        with storage_errors():
            found = await self._fetch(sql.HISTORY, team_id, task_id, after, HISTORY_LIMIT)
        return list(map(journal_row, found))

    async def last_changes(self, team_id: UUID, subjects: Sequence[UUID]) -> Mapping[UUID, int]:
        """The `seq` of the newest event about each of the subjects, of those that any event is about."""
        with storage_errors():
            found = await self._fetch(sql.LAST_CHANGES, team_id, list(subjects))
        return {row["id"]: row["seq"] for row in found}

    async def last_change(self, team_id: UUID, task_id: UUID, user_id: UUID, types: Sequence[str]) -> int | None:
        """The `seq` of the user's newest event of these types about the task."""
        with storage_errors():
            found = await self._fetch(sql.LAST_CHANGE, team_id, task_id, user_id, list(types))
        seq: int | None = found[0][0]
        return seq

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with connected(self._pool) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        return rows
