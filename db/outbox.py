"""The outbox: what leaves for a topic and is no event of a team, such as mails and jobs.

A row commits in the transaction of its cause. The relay (`streams/relay/outbox.py`) moves rows to their topics. Once
the broker has them they are kept by `db/outbox_sent.py`, from where they come back should the broker lose them.

No secret and no address leaves with them: a payload names a purpose and a subject (a user, an invitation, an
operation), and whoever acts on it reads from the database what else it needs.
"""

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

import msgspec
from msgspec import Struct
from piccolo.query.functions.aggregate import Count, Min

from db import outbox_sent
from db.expressions import DEFAULT, NOW, limited
from db.ids import new_id
from db.pool import Pool
from db.statements import change, columns, given, insert, rows
from db.tables import Outbox
from db.transaction import Writing, reading, writing

__all__ = [
    "AI_USAGE",
    "JOBS",
    "MAIL",
    "TOPICS",
    "Backlog",
    "Topic",
    "Waiting",
    "backlog",
    "give_back",
    "moving",
    "put",
    "put_all",
]

Topic = Literal["taskforge.mail.v1", "taskforge.jobs.v1", "taskforge.ai-usage.v1"]
MAIL: Final[Topic] = "taskforge.mail.v1"
JOBS: Final[Topic] = "taskforge.jobs.v1"
AI_USAGE: Final[Topic] = "taskforge.ai-usage.v1"
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)

# A word of ours: not long, not free enough to smuggle an address or a token through it.
_PURPOSE: Final = re.compile(r"[a-z]+(-[a-z]+){0,4}")
MOVER: Final = int.from_bytes(b"tfoutbox")
GIVEN_BACK_AT_ONCE: Final = 5_000


class Waiting(Struct, frozen=True):
    """A row that has not left yet. `discard`: it never shall, and is only deleted in its turn."""

    id: UUID
    topic: str
    key: str
    payload: str
    discard: bool
    traceparent: str


class Backlog(Struct, frozen=True):
    """How many rows wait, and since when the oldest does (None: there are none)."""

    waiting: int
    oldest: datetime | None


class _Payload(Struct, frozen=True):
    id: UUID
    purpose: str
    subject: UUID


_encode: Final = msgspec.json.Encoder().encode


async def put(
    tx: Writing, topic: Topic, purpose: str, subject: UUID, *, discard: bool = False, traceparent: str = ""
) -> UUID:
    """Have a record of {id, purpose, subject} leave for the topic once `tx`, the API's or a worker's, commits; its id.

    Records with the same subject arrive in the order of their causes. Pass `discard` with a random subject when there
    is nobody to act for (a mail to an address that nobody has), so that the request does the same work in the same
    time. Raises ValueError for a purpose that is not up to five lower-case words with hyphens in between.
    """
    row = _row(topic, purpose, subject, discard=discard, traceparent=traceparent)
    await tx.run(_PUT, **row)
    row_id: UUID = row["id"]
    return row_id


async def put_all(tx: Writing, topic: Topic, purpose: str, subjects: Iterable[UUID]) -> None:
    """The same for many subjects at once, in their order. Raises ValueError as `put` does."""
    await tx.run_many(_PUT, [_row(topic, purpose, subject) for subject in subjects])


def _row(topic: Topic, purpose: str, subject: UUID, *, discard: bool = False, traceparent: str = "") -> dict[str, Any]:
    if _PURPOSE.fullmatch(purpose) is None:
        raise ValueError(f"no purpose: {purpose}")
    row_id = new_id()
    return {
        "id": row_id,
        "topic": topic,
        "key": str(subject),
        "payload": _encode(_Payload(row_id, purpose, subject)).decode(),
        "discard": discard,
        "traceparent": traceparent,
    }


@asynccontextmanager
async def moving(pool: Pool, limit: int, life: str) -> AsyncIterator[Sequence[Waiting]]:
    """The rows to move next, in order; they leave when the block ends, and wait further when it raises.

    `life` names the life of the broker that they are sent to: `give_back` brings back what went to another one.

    Empty while another worker moves: only one may at a time, because two would bring two rows of one subject to their
    partition in any order. The lock lives and dies with the transaction that takes them out, so that a worker which
    lost it cannot take away what another has claimed since. For the worker pool; raises StorageUnavailable.
    """
    async with writing(pool) as tx:
        claimed = await tx.all(_NEXT, limit=limit) if await tx.fetchval(_CLAIM, MOVER) else []
        yield claimed
        if claimed:
            await outbox_sent.leave(tx, [row.id for row in claimed], life)


async def give_back(pool: Pool, life: str) -> int | None:
    """Let what was sent to another life of the broker wait again; how many rows. None while another worker moves.

    A slice of some thousand rows per transaction, so that after None a part may be back. Nothing is to be moved before
    all are: what was written since stands behind them. For the worker pool; raises StorageUnavailable.
    """
    total, given_back = 0, GIVEN_BACK_AT_ONCE
    while given_back >= GIVEN_BACK_AT_ONCE:
        async with writing(pool) as tx:
            if not await tx.fetchval(_CLAIM, MOVER):
                return None
            given_back = await outbox_sent.give_back(tx, life, GIVEN_BACK_AT_ONCE)
        total += given_back
    return total


async def backlog(pool: Pool) -> Backlog:
    """What has not left yet. For the worker pool; raises StorageUnavailable."""
    async with reading(pool, None) as tx:
        return await tx.one(_BACKLOG) or Backlog(0, None)


_CLAIM: Final = "select pg_try_advisory_xact_lock($1)"
_PUT: Final = change(
    insert(
        Outbox,
        id=given("id"),
        position=DEFAULT,
        topic=given("topic"),
        key=given("key"),
        payload=given("payload"),
        discard=given("discard"),
        traceparent=given("traceparent"),
        created_at=NOW,
    )
)
_NEXT: Final = rows(
    Waiting, limited(Outbox.select(*columns(Outbox, Waiting)).order_by(Outbox.position), given("limit"))
)
_BACKLOG: Final = rows(Backlog, Outbox.select(Count(alias="waiting"), Min(Outbox.created_at, alias="oldest")))
