"""What one user is notified of: written by the notifications consumer, listed and marked as read by the user."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from core.events import AnyTaskEvent
from core.task import Task
from db.ids import new_id
from db.transaction import Reading, Writing

__all__ = ["ASSIGNED", "Notification", "add_assigned", "list_notifications", "mark_read"]

ASSIGNED: Final = "task.assigned"

_encode = msgspec.json.Encoder().encode


class Notification(Struct, frozen=True):
    """`event_id` names the event it tells of; `data` holds the task's `key` and `title` then."""

    id: UUID
    kind: str
    team_id: UUID
    task_id: UUID | None
    actor_id: UUID | None
    event_id: str
    data: dict[str, Any]
    created_at: datetime
    read_at: datetime | None


async def add_assigned(tx: Writing, user_id: UUID, event: AnyTaskEvent, event_id: str) -> bool:
    """Notify a user that the event gave them its task; False when they are not in its team (any more).

    Nothing is written twice for the same event. For a transaction of the worker's role.
    """
    task = event.task
    rows = await tx.execute(
        _INSERT,
        user_id,
        new_id(),
        event.team_id,
        ASSIGNED,
        task.id,
        event.actor_id,
        event_id,
        _encode(_summary(task)),
        event.at,
    )
    return rows == 1


def _summary(task: Task) -> dict[str, Any]:
    return {"key": task.key, "title": task.title}


async def list_notifications(
    tx: Reading, user_id: UUID, *, unread: bool, before: UUID | None, limit: int
) -> Sequence[Notification]:
    """The user's notifications, newest first, older than `before`; only unread ones when asked."""
    rows = await tx.fetch(_LIST, user_id, before, unread, limit)
    return [_notification(row) for row in rows]


async def mark_read(tx: Writing, user_id: UUID, ids: Sequence[UUID] | None) -> int:
    """Tick off those of the user's notifications (None: all); how many were unread. Foreign ids change nothing."""
    return await tx.execute(_READ, user_id, None if ids is None else list(ids))


# Only a member of the team is notified: others could not see the task.
_INSERT: Final = """
insert into notifications (user_id, id, team_id, kind, task_id, actor_id, event_id, data, created_at)
select $1, $2, team_id, $4, $5, $6, $7, $8, $9 from memberships where team_id = $3 and user_id = $1
on conflict on constraint notifications_event_key do nothing
"""
_LIST: Final = """
select id, kind, team_id, task_id, actor_id, event_id, data, created_at, read_at from notifications
where user_id = $1 and ($2::uuid is null or id < $2) and (not $3 or read_at is null)
order by id desc limit $4
"""
_READ: Final = """
update notifications set read_at = now()
where user_id = $1 and read_at is null and ($2::uuid[] is null or id = any($2))
"""


def _notification(row: asyncpg.Record) -> Notification:
    fields = {name: row[name] for name in Notification.__struct_fields__}
    return Notification(**{**fields, "data": msgspec.json.decode(row["data"], type=dict[str, Any])})
