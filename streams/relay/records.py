"""From journal rows to the records of the topics: pure, so that what is published can be tested without a broker."""

from collections.abc import Iterable, Mapping
from typing import assert_never
from uuid import UUID

import msgspec
from msgspec import Struct

from core.codec import JournalRow, current_data
from core.event_data import encode_task
from core.events import event_class
from core.task import Task
from db.journal.relay_cursors import Page
from streams.cloud_events import cloud_event
from streams.kafka.topics import TASK_EVENTS, TASKS, Headers, event_headers, task_headers, team_key

__all__ = ["Record", "contiguous", "neighbours", "records_of", "state_records"]


class Record(Struct, frozen=True):
    """One record to produce; a `value` of None is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers


class _TaskData(Struct):
    """As much of a task event's data as the compacted topic needs; the task's own bytes stay as they are."""

    task: msgspec.Raw
    ranks: dict[UUID, str] = {}


_task_data = msgspec.json.Decoder(_TaskData).decode


def contiguous(page: Page) -> tuple[JournalRow, ...]:
    """The page's rows up to the first hole; nothing when the row after the cursor is the one that is missing."""
    for index, row in enumerate(page.rows):
        if row.seq != page.published + 1 + index:
            return page.rows[:index]
    return page.rows


def neighbours(rows: Iterable[JournalRow]) -> set[tuple[UUID, UUID]]:
    """(team id, task id) of the tasks whose rank was spread anew by an event about another task."""
    spread = (row for row in rows if _holds_task(row) and b'"ranks":' in row.payload)
    return {(row.team_id, task_id) for row in spread for task_id in _task_data(current_data(row)).ranks}


def records_of(row: JournalRow, others: Mapping[UUID, Task], incarnation: str, *, known: bool = False) -> list[Record]:
    """What one event puts into the topics in this life of the broker; when it is `known` there, only the tasks.

    `others` holds the event's neighbours as they are now.
    """
    records: list[Record] = []
    if not known:
        records.append(Record(TASK_EVENTS, team_key(row.team_id), cloud_event(row), event_headers(row, incarnation)))
    match event_class(row.type).state_record:
        case "none":
            pass
        case "tombstone":
            records.append(Record(TASKS, _task_key(row.subject), None, task_headers(row, incarnation)))
        case "task":
            records += _task_records(row, others, incarnation)
        case effect:
            assert_never(effect)
    return records


def state_records(row: JournalRow, there: Iterable[Task], gone: Iterable[UUID], incarnation: str) -> list[Record]:
    """What the compacted topic says since the event `row`: these tasks are there, and those are gone."""
    headers = task_headers(row, incarnation)
    records = [Record(TASKS, _task_key(task.id), encode_task(task), headers) for task in there]
    return records + [Record(TASKS, _task_key(task_id), None, headers) for task_id in gone]


def _holds_task(row: JournalRow) -> bool:
    return event_class(row.type).state_record == "task"


def _task_records(row: JournalRow, others: Mapping[UUID, Task], incarnation: str) -> Iterable[Record]:
    headers = task_headers(row, incarnation)
    data = _task_data(current_data(row))
    yield Record(TASKS, _task_key(row.subject), bytes(data.task), headers)
    for task_id in data.ranks:
        task = others.get(task_id)
        # A neighbour that changed once more, or is gone, is brought up to date by that later event.
        if task is not None and task.version == row.seq:
            yield Record(TASKS, _task_key(task_id), encode_task(task), headers)


def _task_key(task_id: UUID) -> bytes:
    return str(task_id).encode()
