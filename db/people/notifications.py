"""What one user is notified of: written by the notifications consumer, listed and marked as read by the user."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from piccolo.custom_types import Combinable

from core.comment import Comment
from core.comment_notices import newly_mentioned
from core.events import AnyCommentEvent, AnyTaskEvent, CommentAdded
from core.task import Task
from db.expressions import NOW, any_of, equal_if_given, has_text, limited
from db.ids import LAST_ID, new_id
from db.statements import Change, Rows, change, columns, given, insert, rows, values
from db.tables import Memberships, Notifications
from db.transaction import Reading, Writing
from db.work_tables import Comments

__all__ = [
    "ASSIGNED",
    "COMMENTED",
    "MENTIONED",
    "Notification",
    "add_assigned",
    "add_commented",
    "list_notifications",
    "mark_read",
]

ASSIGNED: Final = "task.assigned"
COMMENTED: Final = "comment.added"
MENTIONED: Final = "comment.mentioned"

_encode = msgspec.json.Encoder().encode
_data = msgspec.json.Decoder(dict[str, Any]).decode


class Notification(Struct, frozen=True):
    """`event_id` names the event it tells of; `data` holds the task's `key` and `title` then, and the `comment_id`."""

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


async def add_commented(tx: Writing, event: AnyCommentEvent, event_id: str) -> bool:
    """Notify those whom the event mentions, and, of a new comment, the task's assignee and earlier commenters.

    Nobody is notified twice of one comment, of their own, or of one in a team that they have left. False when there was
    nobody to notify, or the comment is gone. For a transaction of the worker's role.
    """
    task, comment = event.task, event.comment
    kinds = await _kinds(tx, event)
    if not kinds or await tx.one(_COMMENT, team_id=event.team_id, id=comment.id) is None:
        return False
    told = await tx.all(_TOLD, users=list(kinds), team_id=event.team_id, comment_id=str(comment.id))
    members = await tx.all(_MEMBERS, team_id=event.team_id, users=[one for one in kinds if one not in set(told)])
    for user_id in members:
        await tx.run(
            _ADD,
            user_id=user_id,
            id=new_id(),
            team_id=event.team_id,
            kind=kinds[user_id],
            task_id=task.id,
            actor_id=event.actor_id,
            event_id=event_id,
            data=_encode({**_summary(task), "comment_id": comment.id}),
            created_at=event.at,
        )
    return bool(members)


async def _kinds(tx: Reading, event: AnyCommentEvent) -> dict[UUID, str]:
    """Whom the event concerns, and why: a mention is the stronger reason."""
    kinds: dict[UUID, str] = {}
    if isinstance(event, CommentAdded):
        if event.task.assignee_id is not None:
            kinds[event.task.assignee_id] = COMMENTED
        kinds |= dict.fromkeys(await _earlier(tx, event.team_id, event.comment), COMMENTED)
    kinds |= dict.fromkeys(newly_mentioned(event), MENTIONED)
    kinds.pop(event.actor_id, None)
    return kinds


async def _earlier(tx: Reading, team_id: UUID, comment: Comment) -> Sequence[UUID]:
    """The authors of the comments on the same task that were written before."""
    return await tx.all(_AUTHORS, team_id=team_id, task_id=comment.task_id, written=comment.created_at, own=comment.id)


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
_MEMBERS: Final = values(
    UUID,
    Memberships.select(Memberships.user_id).where(
        Memberships.team_id == given("team_id"), any_of(Memberships.user_id, given("users"))
    ),
)
_COMMENT: Final = values(
    UUID, Comments.select(Comments.id).where(Comments.team_id == given("team_id"), Comments.id == given("id"))
)
_AUTHORS: Final = values(
    UUID,
    Comments.select(Comments.author_id)
    .where(
        Comments.team_id == given("team_id"),
        Comments.task_id == given("task_id"),
        Comments.created_at <= given("written"),
        Comments.id != given("own"),
    )
    .distinct(),
)
_TOLD: Final = values(
    UUID,
    Notifications.select(Notifications.user_id).where(
        any_of(Notifications.user_id, given("users")),
        Notifications.team_id == given("team_id"),
        has_text(Notifications.data, "comment_id", given("comment_id")),
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
