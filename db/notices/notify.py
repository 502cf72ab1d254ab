"""Notifying a user, in the transaction of what they are notified of: a row of the inbox, and the mail that carries it.

    async with writing(worker_pool) as tx:
        …
        await notify(tx, user_id, "report.ready", Notice(team_id=…, event_id=f"report:{report_id}", …), now=now)

The same event notifies the same user once, however often it is told. A mail collects what else happens to the same
subject for a quiet period (`Collecting`), and leaves with others (`releasing.py`); `mails.py` reads what it says.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from core.notices import KINDS, NoticeKind
from db.ids import new_id
from db.notices.preferences import preferences_of
from db.transaction import Reading, Writing

__all__ = ["OLDEST", "Collecting", "Notice", "notify", "notify_managers"]

OLDEST: Final = timedelta(days=14)
"""No mail tells of what is older, as no outbound effect does: a topic that is written anew repeats none."""

_encode: Final = msgspec.json.Encoder().encode


class Collecting(Struct, frozen=True):
    """How long a mail waits for more about its subject: `quiet` after the last, at most `longest` after the first."""

    quiet: timedelta = timedelta(minutes=2)
    longest: timedelta = timedelta(minutes=10)


class Notice(Struct, frozen=True, kw_only=True):
    """What a user is notified of.

    `event_id` names the cause: with the user and the kind it is there once. Of a task, `data` has its `key` and `title`
    and `subject_id` is its id; otherwise `data` has ids and words of ours only, never an address or what somebody has
    written, and `subject_id` says what mails are collected by (a report, a webhook). `actor_id` is who did it, if
    anybody; `by` of `data` says what did it where that was a series (`core/notice_words.py`).
    """

    team_id: UUID
    event_id: str
    subject_id: UUID
    at: datetime
    data: Mapping[str, Any]
    task_id: UUID | None = None
    actor_id: UUID | None = None


async def notify(
    tx: Writing,
    user_id: UUID,
    kind: NoticeKind,
    notice: Notice,
    *,
    now: datetime,
    collecting: Collecting = Collecting(),  # noqa: B008 (frozen)
) -> bool:
    """Notify the user in a transaction of the worker's; False where there was nothing to do.

    That is when they are told already, are in the team no more, have done it themselves, or want to hear of it neither
    in the app nor by mail. `now` is the time by the caller's clock.
    """
    preferences = None if user_id == notice.actor_id else await preferences_of(tx, user_id)
    if preferences is None or not await tx.fetchval(_IS_MEMBER, notice.team_id, user_id):
        return False
    in_app = preferences.wants(kind, "in_app")
    mail = preferences.wants(kind, "mail") and notice.at >= now - OLDEST
    if not (in_app or mail):
        return False
    notification_id = new_id()
    shown = in_app and not await _is_said(tx, user_id, kind, notice, collecting)
    if not await tx.execute(_ADD, user_id, notification_id, kind, shown, *_fields(notice)):
        return False
    if mail:
        mail_id = await tx.fetchval(_COLLECT, *_collected(user_id, kind, notice, now, collecting))
        await tx.execute(_MAILED, user_id, notification_id, mail_id)
    return True


async def _is_said(tx: Reading, user_id: UUID, kind: NoticeKind, notice: Notice, collecting: Collecting) -> bool:
    """Whether the inbox says just this already, unread and a moment ago: a task that was taken back and given again."""
    if kind != "task.assigned":
        return False
    since = notice.at - collecting.longest
    said: bool = await tx.fetchval(_IS_SAID, user_id, kind, notice.task_id, notice.actor_id, since, notice.at)
    return said


async def notify_managers(tx: Writing, kind: NoticeKind, notice: Notice, *, now: datetime) -> int:
    """Notify the owners and admins of the team, as `notify` does; how many there were to tell."""
    managers = [row["user_id"] for row in await tx.fetch(_MANAGERS, notice.team_id)]
    return sum([await notify(tx, user_id, kind, notice, now=now) for user_id in managers])


def _fields(notice: Notice) -> tuple[object, ...]:
    return (
        notice.team_id,
        notice.event_id,
        notice.task_id,
        notice.actor_id,
        _encode(notice.data),
        notice.at,
    )


def _collected(
    user_id: UUID, kind: NoticeKind, notice: Notice, now: datetime, collecting: Collecting
) -> tuple[object, ...]:
    waits = KINDS[kind].collects
    quiet = collecting.quiet if waits else timedelta()
    return (notice.team_id, new_id(), user_id, notice.subject_id, now, now + quiet, collecting.longest)


_IS_MEMBER: Final = "select exists (select from memberships where team_id = $1 and user_id = $2)"
_IS_SAID: Final = """
select exists (
    select from notifications
    where user_id = $1 and kind = $2 and task_id = $3 and in_app and read_at is null
      and actor_id is not distinct from $4 and created_at between $5 and $6
)
"""
_MANAGERS: Final = "select user_id from memberships where team_id = $1 and role in ('owner', 'admin') order by user_id"
_ADD: Final = """
insert into notifications
    (user_id, id, kind, in_app, team_id, event_id, task_id, actor_id, data, created_at, actor_name)
select $1, $2, $3, $4, $5, $6, $7, $8, $9::json, $10, coalesce(
    (select name from memberships where team_id = $5 and user_id = $8),
    (select name from former_members where team_id = $5 and user_id = $8),
    '')
on conflict on constraint notifications_event_key do nothing
"""
# Whoever adds to a mail that is leaving right now waits for its row to go, and begins the next one.
_COLLECT: Final = """
insert into notification_mails as m (team_id, id, user_id, subject_id, first_at, leaves_at)
values ($1, $2, $3, $4, $5, $6)
on conflict on constraint notification_mails_subject do update
    set leaves_at = least(m.first_at + $7::interval, excluded.leaves_at)
returning id
"""
_MAILED: Final = "update notifications set mail_id = $3 where user_id = $1 and id = $2"
