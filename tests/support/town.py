"""People in several zones and what is due to them, written past the actors: for tests of what time brings about."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from core.columns import default_column_id
from core.task import Status
from db.ids import new_id

__all__ = ["Town"]

_USER = """
insert into users (id, email, name, time_zone, email_verified_at, created_at, updated_at, digest_hour)
values ($1, $2, $3, $4, case when $5 then now() end, now(), now(), $6)
"""
_TEAM = """
insert into teams (id, name, key, time_zone, created_by, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, now(), now(), 1)
"""
_JOIN = "insert into memberships (team_id, user_id, role, name, joined_at) values ($1, $2, 'member', 'Somebody', now())"
_TASK = """
insert into tasks (team_id, id, number, title, description, status, priority, assignee_id, label_ids, due_at, due_on,
                   blocked_by, rank, comment_count, attachment_count, created_by, created_at, updated_at, archived_at,
                   version, column_id)
values ($1, $2, (select count(*) + 1 from tasks where team_id = $1), $3, '', $4, 'none', $5, '{}', $6, $7, '{}', 'a0',
        0, 0, $8, now(), now(), case when $9 then now() end, 1, $10)
"""


class Town:
    """Writes over a superuser's connection."""

    def __init__(self, superuser: "asyncpg.Connection[Any]") -> None:
        self._superuser = superuser

    async def user(self, name: str, zone: str = "UTC", *, verified: bool = True, hour: int = 7) -> UUID:
        user_id = new_id()
        await self._superuser.execute(_USER, user_id, f"{user_id}@example.com", name, zone, verified, hour)
        return user_id

    async def team(self, *members: UUID, name: str = "Work", key: str = "WORK", zone: str = "UTC") -> UUID:
        team_id = new_id()
        await self._superuser.execute(_TEAM, team_id, name, key, zone, members[0])
        for member in members:
            await self._superuser.execute(_JOIN, team_id, member)
        return team_id

    async def task(
        self,
        team_id: UUID,
        assignee: UUID | None,
        title: str = "A task",
        *,
        due_at: datetime | None = None,
        due_on: date | None = None,
        status: Status = "open",
        archived: bool = False,
    ) -> UUID:
        task_id, column = new_id(), default_column_id(team_id, status)
        creator = assignee or task_id
        await self._superuser.execute(
            _TASK, team_id, task_id, title, status, assignee, due_at, due_on, creator, archived, column
        )
        return task_id

    async def run(self, sql: str, *arguments: Any) -> None:
        """Change anything."""
        await self._superuser.execute(sql, *arguments)
