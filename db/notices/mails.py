"""The mails that carry notifications: from rows that collect to jobs in the outbox, and what such a mail has to say.

A mail's row goes in the transaction that puts its job into the outbox, so that it leaves once, whatever is killed. What
it says is read when it is sent: only what its user has not read in the app by then, still wants, and may still see.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from core.notices import KINDS, NoticeKind
from core.redaction import DELETED_TASK
from db import outbox
from db.notices.preferences import preferences_of
from db.people.recipients import Recipient, recipient
from db.transaction import Reading, Writing

__all__ = ["PURPOSE", "Mailed", "Part", "mail_of", "release"]

PURPOSE: Final = "notices"
"""Of the mail's job, whose subject is the id of the mail."""
MOST_PARTS: Final = 20
"""Of one mail; how many there are beyond is said."""
EXCERPT: Final = 500
"""Characters of a comment in a mail."""


class Part(Struct, frozen=True):
    """One notification in a mail; `excerpt` is the beginning of the comment it is about, mentions in it as stored."""

    kind: NoticeKind
    actor_name: str
    at: datetime
    data: Mapping[str, Any]
    excerpt: str
    mentions: Sequence[UUID]


class Mailed(Struct, frozen=True):
    """What a mail says, to whom: `parts` are the first of `total`, oldest first.

    `key` and `title` are those of the task now, None where it is about none. `names` are those whom excerpts mention.
    """

    to: Recipient
    team_id: UUID
    team_name: str
    subject_id: UUID
    key: str | None
    title: str | None
    parts: Sequence[Part]
    total: int
    names: Mapping[UUID, str]


async def release(tx: Writing, now: datetime, *, limit: int) -> int:
    """Have at most `limit` mails whose time has come leave once `tx`, a worker's, commits; how many.

    Several workers may do so at once: each takes those that nobody else is at.
    """
    due = await tx.fetch(_DUE, now, limit)
    await outbox.put_all(tx, outbox.MAIL, PURPOSE, [row["id"] for row in due])
    return len(due)


async def mail_of(tx: Reading, mail_id: UUID) -> Mailed | None:
    """What the mail says; None when there is nothing to say any more. For a transaction of the worker's.

    That is when all of it is read, unwanted or gone, or its user has left the team or has not proven their address:
    nobody else's mailbox is to be filled.
    """
    found = await tx.fetch(_PARTS, mail_id, EXCERPT, DELETED_TASK)
    to = await recipient(tx, found[0]["user_id"]) if found else None
    wanted = None if to is None else await preferences_of(tx, to.id)
    if to is None or wanted is None:
        return None
    parts = [part for row in found if (part := _part(row)) is not None and wanted.wants(part.kind, "mail")]
    if not parts:
        return None
    first, shown = found[0], parts[:MOST_PARTS]
    mentioned = list({one for part in shown for one in part.mentions})
    names = {row["user_id"]: row["name"] for row in await tx.fetch(_NAMES, first["team_id"], mentioned)}
    key = first["task_key"] or parts[0].data.get("key")
    title = first["title"] or parts[0].data.get("title")
    subject = first["task_id"] or first["team_id"]
    return Mailed(to, first["team_id"], first["team_name"], subject, key, title, shown, len(parts), names)


def _part(row: asyncpg.Record) -> Part | None:
    """None for a comment that is gone, and for a kind that this version does not know."""
    data = _data(row["data"])
    if row["kind"] not in KINDS or ("comment_id" in data and row["excerpt"] is None):
        return None
    return Part(row["kind"], row["actor"], row["created_at"], data, row["excerpt"] or "", row["mentions"] or ())


_data: Final = msgspec.json.Decoder(dict[str, Any]).decode

_DUE: Final = """
delete from notification_mails where (team_id, id) in (
    select team_id, id from notification_mails where leaves_at <= $1 order by leaves_at limit $2 for update skip locked
)
returning id
"""
# The name of whoever did it is that of today; that of the notification is theirs of then. A task that is gone was
# deleted for good: what it was called is forgotten.
_PARTS: Final = """
select n.user_id, n.team_id, n.kind, n.created_at, n.task_id, g.name as team_name, t.title,
    case when n.task_id is null or t.id is not null then n.data
         else json_build_object('key', n.data ->> 'key', 'title', $3::text) end as data,
    case when t.id is not null then g.key || '-' || t.number end as task_key,
    coalesce(a.name, n.actor_name) as actor, left(c.body, $2) as excerpt, c.mentions
from notifications n
join memberships m on m.team_id = n.team_id and m.user_id = n.user_id
join users u on u.id = n.user_id and u.email_verified_at is not null
join teams g on g.id = n.team_id
left join tasks t on t.team_id = n.team_id and t.id = n.task_id
left join memberships a on a.team_id = n.team_id and a.user_id = n.actor_id
left join comments c on c.team_id = n.team_id and c.id::text = n.data ->> 'comment_id'
where n.mail_id = $1 and n.read_at is null
order by n.id
"""
_NAMES: Final = "select user_id, name from memberships where team_id = $1 and user_id = any($2::uuid[])"
