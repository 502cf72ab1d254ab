"""Keeps what tasks are found by near to what they say: each change of a task writes its document anew.

The document is of the task's rows as they are by then, so that no order of events matters, none twice does harm, and a
comment is found once its row is there. Searches fold by themselves what is not written yet (`db/search_documents.py`).
"""

from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from core.codec import JournalRow
from core.events import HistoryRedacted, TaskDeleted
from db.pool import Pool
from db.search_documents import drop_documents, write_documents
from db.transaction import writing
from streams.consumers.plan import ConsumerPlan, Handled, Permanent
from streams.kafka.topics import TASK_EVENTS

__all__ = ["NAME", "search"]

NAME: Final = "search"

_CONCERNED: Final = ("task.", "comment.")


class _Named(Struct):
    """Whatever tasks an event names beside its subject: that of a comment, and the neighbours of one that moved."""

    task_id: UUID | None = None
    ranks: dict[UUID, str] = {}
    subjects: tuple[UUID, ...] = ()


_decode: Final = msgspec.json.Decoder(_Named).decode


def search(pool: Pool) -> ConsumerPlan:
    """The consumer group `taskforge.search`, writing through `pool` (the worker's)."""

    async def handle(_: str, row: JournalRow) -> Handled:
        redacted = row.type == HistoryRedacted.type
        if not redacted and (not row.type.startswith(_CONCERNED) or row.type == TaskDeleted.type):
            return "passed"
        named = _named(row)
        async with writing(pool) as tx:
            if redacted:
                task_ids = list(await drop_documents(tx, row.team_id, named.subjects))
            else:
                task_ids = [row.subject, *named.ranks, *([] if named.task_id is None else [named.task_id])]
            written = await write_documents(tx, row.team_id, task_ids)
        return "applied" if written else "passed"

    return ConsumerPlan(NAME, TASK_EVENTS, handle)


def _named(row: JournalRow) -> _Named:
    try:
        return _decode(row.payload)
    except msgspec.MsgspecError as error:
        raise Permanent(f"{row.type} with data of another shape: {error}") from error
