"""What one user is notified of: written by the notifications consumer, listed and marked as read by the user."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from piccolo.custom_types import Combinable

from core.events import AnyTaskEvent
from core.task import Task
from db.expressions import NOW, any_of, equal_if_given, limited
from db.ids import LAST_ID, new_id
from db.statements import Change, Rows, change, columns, given, insert, rows, values
from db.tables import Memberships, Notifications
from db.transaction import Reading, Writing

__all__ = ["ASSIGNED", "Notification", "add_assigned", "list_notifications", "mark_read"]

ASSIGNED: Final = "task.assigned"

_encode = msgspec.json.Encoder().encode
_data = msgspec.json.Decoder(dict[str, Any]).decode


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
    if await tx.one(_MEMBER, team_id=event.team_id, user_id=user_id) is None:
        return False  # They could not see the task.
    task = event.task
    added = await tx.run(
        _ADD,
        user_id=user_id,
        id=new_id(),
        team_id=event.team_id,
        kind=ASSIGNED,
        task_id=task.id,
        actor_id=event.actor_id,
        event_id=event_id,
        data=_encode(_summary(task)),
        created_at=event.at,
    )
    return added == 1


def _summary(task: Task) -> dict[str, Any]:
    return {"key": task.key, "title": task.title}


async def list_notifications(
    tx: Reading, user_id: UUID, *, team_id: UUID | None = None, unread: bool, before: UUID | None, limit: int
) -> Sequence[Notification]:
    """The user's notifications, of one team or of all, newest first, older than `before`; only unread ones if asked."""
    wanted = _UNREAD if unread else _ALL
    return await tx.all(wanted, user_id=user_id, team_id=team_id, before=before or LAST_ID, limit=limit)


async def mark_read(tx: Writing, user_id: UUID, ids: Sequence[UUID] | None, *, team_id: UUID | None = None) -> int:
    """Mark as read those of the user's notifications (None: all), of one team or of all; how many were unread.

    Foreign ids change nothing.
    """
    if ids is None:
        return await tx.run(_READ_ALL, user_id=user_id, team_id=team_id)
    return await tx.run(_READ, user_id=user_id, team_id=team_id, ids=list(ids))


def _notification(*, data: bytes, **row: Any) -> Notification:
    return Notification(data=_data(data), **row)


_MEMBER: Final = values(
    UUID,
    Memberships.select(Memberships.user_id).where(
        Memberships.team_id == given("team_id"), Memberships.user_id == given("user_id")
    ),
)
_ADD: Final = change(
    insert(
        Notifications,
        user_id=given("user_id"),
        id=given("id"),
        team_id=given("team_id"),
        kind=given("kind"),
        task_id=given("task_id"),
        actor_id=given("actor_id"),
        event_id=given("event_id"),
        data=given("data"),
        created_at=given("created_at"),
        read_at=None,
    ).on_conflict(target="notifications_event_key", action="DO NOTHING")
)


_MINE: Final = (Notifications.user_id == given("user_id"), equal_if_given(Notifications.team_id, given("team_id")))


def _page(*more: Combinable) -> Rows[Notification]:
    mine = Notifications.select(*columns(Notifications, Notification)).where(
        *_MINE, Notifications.id < given("before"), *more
    )
    return rows(_notification, limited(mine.order_by(Notifications.id, ascending=False), given("limit")))


_ALL: Final = _page()
_UNREAD: Final = _page(Notifications.read_at.is_null())


def _marking_as_read(*which: Combinable) -> Change:
    return change(
        Notifications.update({Notifications.read_at: NOW}).where(*_MINE, Notifications.read_at.is_null(), *which)
    )


_READ_ALL: Final = _marking_as_read()
_READ: Final = _marking_as_read(any_of(Notifications.id, given("ids")))
