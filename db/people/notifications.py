"""The inbox of one user: what they are notified of (`db/notices` writes it), listed, counted and marked as read."""

from collections.abc import Collection, Container, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import Struct
from piccolo.custom_types import Combinable

from core.notice_words import said
from core.redaction import DELETED_TASK
from db.expressions import NOW, any_of, equal_if_given, limited
from db.ids import LAST_ID
from db.redactions_due import tasks_due
from db.statements import Change, Rows, change, given, rows, values
from db.tables import Memberships, Notifications, Teams, Users
from db.transaction import Reading, Writing
from db.work_tables import WebhookSubscriptions
from db.zones import zone_named

__all__ = ["MOST_COUNTED", "Notification", "list_notifications", "mark_read", "unread_of"]

MOST_COUNTED: Final = 100

_data = msgspec.json.Decoder(dict[str, Any]).decode


class Notification(Struct, frozen=True):
    """`event_id` names the event it tells of; `data` holds the task's `key` and `title` then, and the `comment_id`.

    `sentence` says it in English, by the user's clock; `actor_name` is what whoever did it was called then, empty where
    nobody did.
    """

    id: UUID
    kind: str
    sentence: str
    team_id: UUID
    team_name: str
    task_id: UUID | None
    actor_id: UUID | None
    actor_name: str
    event_id: str
    data: dict[str, Any]
    created_at: datetime
    read_at: datetime | None


async def list_notifications(
    tx: Reading, user_id: UUID, *, team_id: UUID | None = None, unread: bool, before: UUID | None, limit: int
) -> Sequence[Notification]:
    """The user's notifications, of one team or of all, newest first, older than `before`; only unread ones if asked."""
    wanted = _UNREAD if unread else _ALL
    found = await tx.all(wanted, user_id=user_id, team_id=team_id, before=before or LAST_ID, limit=limit)
    if not found:
        return ()
    team_ids = list({one["team_id"] for one in found})
    names = {one["id"]: one["name"] for one in await tx.all(_TEAMS, ids=team_ids)}
    due = await tasks_due(tx, team_ids)
    hooks = await _hooks_of(tx, user_id, {one["team_id"] for one in found if one["kind"] in _OF_WEBHOOKS})
    zone = zone_named(await tx.one(_ZONE, user_id=user_id) or "UTC")
    return [_notification(due, hooks, zone, team_name=names.get(one["team_id"], ""), **one) for one in found]


async def unread_of(tx: Reading, user_id: UUID, *, team_id: UUID | None = None) -> int:
    """How many the user has not read, of one team or of all; beyond `MOST_COUNTED` one more than that, uncounted."""
    return len(await tx.all(_COUNTED, user_id=user_id, team_id=team_id, most=MOST_COUNTED + 1))


async def mark_read(
    tx: Writing,
    user_id: UUID,
    ids: Sequence[UUID] | None,
    *,
    up_to: UUID | None = None,
    team_id: UUID | None = None,
) -> int:
    """Mark as read those of the user's notifications, of one team or of all; how many were unread.

    They are those of `ids`; where that is None, all, or those up to the one `up_to`. Foreign ids change nothing.
    """
    if ids is None:
        return await tx.run(_READ_UP_TO, user_id=user_id, team_id=team_id, last=up_to or LAST_ID)
    return await tx.run(_READ, user_id=user_id, team_id=team_id, ids=list(ids))


_TEAMS: Final = rows(dict[str, Any], Teams.select(Teams.id, Teams.name).where(any_of(Teams.id, given("ids"))))


_ZONE: Final = values(str, Users.select(Users.time_zone).where(Users.id == given("user_id")))
_OF_WEBHOOKS: Final = frozenset({"webhook.failing", "webhook.disabled"})
_MANAGED: Final = values(
    UUID,
    Memberships.select(Memberships.team_id).where(
        Memberships.user_id == given("user_id"),
        any_of(Memberships.team_id, given("team_ids")),
        Memberships.role.is_in(["owner", "admin"]),
    ),
)
_HOOKS: Final = rows(
    dict[str, Any],
    WebhookSubscriptions.select(
        WebhookSubscriptions.id, WebhookSubscriptions.url, WebhookSubscriptions.description
    ).where(any_of(WebhookSubscriptions.team_id, given("team_ids"))),
)


async def _hooks_of(tx: Reading, user_id: UUID, team_ids: Collection[UUID]) -> Mapping[str, Mapping[str, str]]:
    """How the webhooks of teams that the user manages are called, by their ids: no notification says it itself."""
    managed = await tx.all(_MANAGED, user_id=user_id, team_ids=list(team_ids)) if team_ids else ()
    found = await tx.all(_HOOKS, team_ids=managed) if managed else ()
    return {
        str(one["id"]): {"host": urlsplit(one["url"]).hostname or "", "description": one["description"]}
        for one in found
    }


def _notification(
    due: Container[UUID],
    hooks: Mapping[str, Mapping[str, str]],
    zone: tzinfo,
    *,
    data: bytes,
    kind: str,
    actor_name: str,
    **row: Any,
) -> Notification:
    facts = _data(data)
    if row["task_id"] in due:
        facts = {"key": facts.get("key"), "title": DELETED_TASK}
    sentence = said(kind, actor_name, {**facts, **hooks.get(facts.get("webhook_id", ""), {})}, zone)
    return Notification(kind=kind, sentence=sentence, actor_name=actor_name, data=facts, **row)


_MINE: Final = (
    Notifications.user_id == given("user_id"),
    Notifications.in_app.eq(True),
    equal_if_given(Notifications.team_id, given("team_id")),
)
_IS_UNREAD: Final = Notifications.read_at.is_null()
_COLUMNS: Final = (
    Notifications.id,
    Notifications.kind,
    Notifications.team_id,
    Notifications.task_id,
    Notifications.actor_id,
    Notifications.actor_name,
    Notifications.event_id,
    Notifications.data,
    Notifications.created_at,
    Notifications.read_at,
)


def _page(*more: Combinable) -> Rows[dict[str, Any]]:
    mine = Notifications.select(*_COLUMNS).where(*_MINE, Notifications.id < given("before"), *more)
    return rows(dict[str, Any], limited(mine.order_by(Notifications.id, ascending=False), given("limit")))


_ALL: Final = _page()
_UNREAD: Final = _page(_IS_UNREAD)
_COUNTED: Final = values(UUID, limited(Notifications.select(Notifications.id).where(*_MINE, _IS_UNREAD), given("most")))


def _marking_as_read(*which: Combinable) -> Change:
    return change(Notifications.update({Notifications.read_at: NOW}).where(*_MINE, _IS_UNREAD, *which))


_READ_UP_TO: Final = _marking_as_read(Notifications.id <= given("last"))
_READ: Final = _marking_as_read(any_of(Notifications.id, given("ids")))
