"""What a mail of notifications has to say, read when it is sent: only what is still so.

That is what its user has not read in the app by then, still wants, and may still see; of tasks what is true of them
now.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from core.notices import KINDS, NoticeKind
from core.redaction import DELETED_TASK
from core.task import Priority
from core.windows import FINISHED
from db.notices.preferences import preferences_of
from db.people.recipients import Recipient, recipient
from db.transaction import Reading

__all__ = ["Mailed", "Part", "Topic", "mail_of"]

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


class Topic(Struct, frozen=True):
    """What some parts of a mail are about, in their order.

    `key`, `title`, `due` and `priority` are those of the task now; `task_id` is None where it is about none.
    """

    parts: Sequence[Part]
    task_id: UUID | None = None
    key: str = ""
    title: str = ""
    due: date | datetime | None = None
    priority: Priority = "none"


class Mailed(Struct, frozen=True):
    """What a mail says, to whom, about one team; the topics hold the first of `total` parts, oldest first.

    `names` are those whom excerpts mention.
    """

    to: Recipient
    team_id: UUID
    team_name: str
    topics: Sequence[Topic]
    total: int
    names: Mapping[UUID, str]

    @property
    def parts(self) -> Sequence[Part]:
        """Those of all topics."""
        return [part for topic in self.topics for part in topic.parts]


async def mail_of(tx: Reading, mail_id: UUID) -> Mailed | None:
    """What the mail says; None when there is nothing to say any more. For a transaction of the worker's.

    That is when all of it is read, unwanted, gone or so no more, or its user has left the team or has not proven their
    address: nobody else's mailbox is to be filled.
    """
    found = await tx.fetch(_PARTS, mail_id, EXCERPT, DELETED_TASK, list(FINISHED))
    to = await recipient(tx, found[0]["user_id"]) if found else None
    wanted = None if to is None else await preferences_of(tx, to.id)
    if to is None or wanted is None:
        return None
    rows = [row for row in _latest(found) if row["kind"] in KINDS and wanted.wants(row["kind"], "mail")]
    if not rows:
        return None
    first, topics = rows[0], _topics(rows[:MOST_PARTS])
    mentioned = list({one for topic in topics for part in topic.parts for one in part.mentions})
    names = {row["user_id"]: row["name"] for row in await tx.fetch(_NAMES, first["team_id"], mentioned)}
    return Mailed(to, first["team_id"], first["team_name"], topics, len(rows), names)


def _latest(rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """All but what says of a task once more what a later row says: whose it is, it is only once."""
    last = {(row["kind"], row["task_id"]): row["id"] for row in rows}
    return [row for row in rows if row["kind"] != "task.assigned" or last[row["kind"], row["task_id"]] == row["id"]]


def _topics(rows: Sequence[asyncpg.Record]) -> list[Topic]:
    """One for each task, and one for all that is about none."""
    by_task = dict[UUID | None, list[asyncpg.Record]]()
    for row in rows:
        by_task.setdefault(row["task_id"], []).append(row)
    return [_topic(task_id, some) for task_id, some in by_task.items()]


def _topic(task_id: UUID | None, rows: Sequence[asyncpg.Record]) -> Topic:
    parts, row = [_part(row) for row in rows], rows[0]
    if task_id is None:
        return Topic(parts)
    key, title = row["key"] or parts[0].data.get("key", ""), row["title"] or parts[0].data.get("title", "")
    return Topic(parts, task_id, key, title, row["due_at"] or row["due_on"], row["priority"] or "none")


def _part(row: asyncpg.Record) -> Part:
    data = _data(row["data"])
    if row["url"] is not None:
        data |= {"host": urlsplit(row["url"]).hostname or "", "description": row["description"]}
    return Part(row["kind"], row["actor"], row["created_at"], data, row["excerpt"] or "", row["mentions"] or ())


_data: Final = msgspec.json.Decoder(dict[str, Any]).decode

# What of a notification is so no more. A task that is gone is nobody's; one may be given back and given again, and due
# at another time by now. Who manages the team no more hears of no webhooks.
_STILL_SO: Final = """
case
    when n.kind = 'task.assigned' then t.assignee_id = n.user_id and t.archived_at is null
    when n.kind in ('task.due_soon', 'task.overdue') then
        t.assignee_id = n.user_id and t.archived_at is null and t.status <> all ($4::text[])
        and (t.due_on is null or t.due_on::text = n.data ->> 'due')
        and (t.due_at is null or t.due_at = (n.data ->> 'due')::timestamptz)
        and (t.due_on is not null or t.due_at is not null)
    when n.kind = 'comment.mentioned' then n.data ->> 'comment_id' is null or n.user_id = any (c.mentions)
    when n.kind = 'webhook.disabled' then w.disabled_at is not null
    when n.kind = 'webhook.failing' then w.failing_since is not null and w.disabled_at is null
    else n.data ->> 'comment_id' is null or c.id is not null
end
"""
# One that is in no inbox because an unread one there said the same goes with that one: who has read it, knows.
_UNREAD: Final = """
n.read_at is null and (n.in_app or not exists (
    select from notifications r
    where r.user_id = n.user_id and r.kind = n.kind and r.task_id = n.task_id and r.in_app and r.read_at > n.created_at
))
"""
# The name of whoever did it is that of today; that of the notification is theirs of then. A task that is gone was
# deleted for good: what it was called is forgotten.
_PARTS: Final = f"""
select n.id, n.user_id, n.team_id, n.kind, n.created_at, n.task_id, g.name as team_name, t.title, t.due_at, t.due_on,
    t.priority, w.url, w.description,
    case when n.task_id is null or t.id is not null then n.data
         else json_build_object('key', n.data ->> 'key', 'title', $3::text) end as data,
    case when t.id is not null then g.key || '-' || t.number end as key,
    coalesce(a.name, n.actor_name) as actor, left(c.body, $2) as excerpt, c.mentions
from notifications n
join memberships m on m.team_id = n.team_id and m.user_id = n.user_id
join users u on u.id = n.user_id and u.email_verified_at is not null
join teams g on g.id = n.team_id
left join tasks t on t.team_id = n.team_id and t.id = n.task_id
left join memberships a on a.team_id = n.team_id and a.user_id = n.actor_id
left join comments c on c.team_id = n.team_id and c.id::text = n.data ->> 'comment_id'
left join webhook_subscriptions w
    on w.team_id = n.team_id and w.id::text = n.data ->> 'webhook_id' and m.role in ('owner', 'admin')
where n.mail_id = $1 and {_UNREAD} and {_STILL_SO}
order by n.id
"""  # noqa: S608 (expressions of our own)
_NAMES: Final = "select user_id, name from memberships where team_id = $1 and user_id = any($2::uuid[])"
