"""A team's board for whoever takes it away as a file: all of one moment, a page of it in memory at a time.

For the operator at the command line; runs as the worker's role, which sees every team.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.task import Task
from db.errors import storage_errors
from db.journal.rows import task_of
from db.journal.sql import TASK_SELECT
from db.pool import ACQUIRE_SECONDS, Connection, Pool, give_back
from db.transaction import transaction

__all__ = ["BoardExport", "exporting"]

PAGE: Final = 1_000

_TASKS: Final = f"""
declare exported no scroll cursor for select {TASK_SELECT} from tasks t
left join columns c on c.team_id = t.team_id and c.id = t.column_id
where t.team_id = $1 and t.archived_at is null
order by c.rank, c.id, t.rank collate "C", t.id
"""  # noqa: S608 (column names of our own)
# Only what somebody refers to: a number for every task would grow with the board.
_REFERRED: Final = """
with board as (select id, number, parent_id, blocked_by from tasks where team_id = $1 and archived_at is null)
select id, number from board
where id in (select parent_id from board union select unnest(blocked_by) from board)
"""
_ASSIGNEES: Final = """
select u.id, u.email from users u where u.id in (
    select assignee_id from tasks where team_id = $1 and archived_at is null
) and u.email is not null
"""


class BoardExport(Struct, frozen=True):
    """By id the names of `labels` and `columns`, and the `keys` of tasks that others refer to; by user `emails` of the
    assignees."""

    labels: Mapping[UUID, str]
    columns: Mapping[UUID, str]
    keys: Mapping[UUID, str]
    emails: Mapping[UUID, str]
    tasks: AsyncIterator[list[Task]]
    """Pages of tasks, column by column from top to bottom."""


@asynccontextmanager
async def exporting(pool: Pool, team_id: UUID) -> AsyncIterator[BoardExport | None]:
    """The team's board as of now, until the block ends; None for no such team. Raises StorageUnavailable.

    What the block raises comes out as itself: a disk that is full is not a database that is away.
    """
    with storage_errors():
        connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
    try:
        async with transaction(connection, "begin isolation level repeatable read read only"):
            with storage_errors():
                board = await _board(connection, team_id)
            yield board
    finally:
        await give_back(pool, connection)


async def _board(connection: Connection, team_id: UUID) -> BoardExport | None:
    key = await connection.fetchval("select key from teams where id = $1", team_id)
    if key is None:
        return None
    labels = await connection.fetch("select id, name from labels where team_id = $1", team_id)
    columns = await connection.fetch("select id, name from columns where team_id = $1", team_id)
    referred = await connection.fetch(_REFERRED, team_id)
    assignees = await connection.fetch(_ASSIGNEES, team_id)
    await connection.fetch(_TASKS, team_id)
    return BoardExport(
        {row["id"]: row["name"] for row in labels},
        {row["id"]: row["name"] for row in columns},
        {row["id"]: f"{key}-{row['number']}" for row in referred},
        {row["id"]: row["email"] for row in assignees},
        _pages(connection, key),
    )


async def _pages(connection: Connection, key: str) -> AsyncIterator[list[Task]]:
    while True:
        with storage_errors():
            page = await connection.fetch(f"fetch {PAGE} from exported")
        if not page:
            return
        yield [task_of(row, key) for row in page]
