"""Between the domain's shapes and rows: arguments for the statements of the journal, and rows read back."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import structs

from core.codec import Encoded, JournalRow, readable
from core.comment import Comment
from core.events import EVENT_TYPES, Attachment, Noun, TaskCreated, TaskEvent, Team
from core.recurrence import Recurrence
from core.redaction import redacted
from core.task import Task
from core.writes import KeyRow, RowChanges, StoredReply, TeamWrites
from db.journal.commit_sql import TASK_ROW, shape_for, statement_of
from db.journal.nouns import ATTACHMENT_COLUMNS, NOUNS

__all__ = [
    "attachment_of",
    "columns",
    "comment_of",
    "commit_statement",
    "journal_row",
    "key_row",
    "stored_row",
    "task_of",
    "team_of",
]

_encode_headers = msgspec.json.Encoder().encode
_decode_recurrence = msgspec.json.Decoder(Recurrence).decode
_decode_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


def commit_statement(batches: Sequence[TeamWrites]) -> tuple[str, list[Any]]:
    """The smallest statement that writes the batches, and its arguments: rows, as tuples."""
    events = [event for writes in batches for event in writes.events]
    tasks = _changes_of("task", batches)
    deleted = [(team_id, task_id) for team_id, changes in tasks for task_id in changes.gone]
    old, new = _by_age([task for _, changes in tasks for task in changes.kept], events)
    touched = _touched(events) if old else set()
    shape = shape_for(
        touched,
        keys=any(writes.keys for writes in batches),
        creates=bool(new or deleted),
        beside_tasks=any(len(writes.rows) > ("task" in writes.rows) for writes in batches),
    )
    arguments: list[Any] = [
        [_team_row(writes, creates=shape.creates) for writes in batches],
        [structs.astuple(event.row)[:-1] for event in events],  # All but the epoch, which is the team's.
        _task_rows(old, shape.row, described="description" in touched),
    ]
    if shape.keys:
        arguments.append([_key_row(row, writes.team_id) for writes in batches for row in writes.keys])
    if shape.creates:
        arguments += [_task_rows(new, TASK_ROW), *columns(deleted, 2)]
    if shape.beside_tasks:
        arguments += _rows_beside_tasks(batches)
    return statement_of(shape), arguments


def _changes_of(noun: Noun, batches: Sequence[TeamWrites]) -> list[tuple[UUID, RowChanges]]:
    """(team id, changes) of the teams in which anything of the noun changed."""
    return [(writes.team_id, changes) for writes in batches if (changes := writes.rows.get(noun)) is not None]


def _rows_beside_tasks(batches: Sequence[TeamWrites]) -> list[Any]:
    """The teams' settings; then of each noun its rows, and teams and ids of what is gone."""
    arguments: list[Any] = [[_settings_row(team) for _, now in _changes_of("team", batches) for team in now.kept]]
    for noun in NOUNS:
        changed = _changes_of(noun.noun, batches)
        arguments.append([row for team_id, changes in changed for row in noun.rows(team_id, changes.kept)])
        arguments += columns(((team_id, gone) for team_id, changes in changed for gone in changes.gone), 2)
    return arguments


def _settings_row(team: Team) -> tuple[Any, ...]:
    dates = (team.created_by, team.created_at, team.updated_at)
    return (team.id, team.name, team.key, team.wip, team.time_zone, *dates, team.version)


def _top_number(writes: TeamWrites) -> int:
    """The highest number given away, also when its task was deleted by the same batch."""
    return max((event.event.task.number for event in writes.events if type(event.event) is TaskCreated), default=0)


def _team_row(writes: TeamWrites, *, creates: bool) -> tuple[Any, ...]:
    top = _top_number(writes) if creates else 0
    return (writes.team_id, writes.expected_seq, len(writes.events), top, writes.epoch)


def _key_row(row: KeyRow, team_id: UUID) -> tuple[Any, ...]:
    reply = row.reply
    headers = _encode_headers(reply.headers)
    return (row.principal, row.key, team_id, row.fingerprint, reply.status, headers, reply.body, reply.seq)


def _task_rows(tasks: Iterable[Task], names: tuple[str, ...], *, described: bool = True) -> list[tuple[Any, ...]]:
    """The tasks as rows of these columns; a description that nobody changed stays here."""
    if described or names[-1] != "description":
        return list(map(_getter(names), tasks))
    short = _getter(names[:-1])
    return [(*short(task), None) for task in tasks]


@cache
def _getter(names: tuple[str, ...]) -> Callable[[Task], tuple[Any, ...]]:
    """The values of these columns, of a task."""
    getter: Callable[[Task], tuple[Any, ...]] = attrgetter(*(_ATTRIBUTES.get(name, name) for name in names))
    return getter


_ATTRIBUTES: Final = {"recurrence": "recurrence_json"}
"""What a task calls the value of a column, where the names differ."""


def _by_age(tasks: list[Task], events: Sequence[Encoded]) -> tuple[list[Task], list[Task]]:
    """Those that existed before the commit, and those that it creates."""
    created = {event.event.task.id for event in events if type(event.event) is TaskCreated}
    if not created:
        return tasks, []
    return [task for task in tasks if task.id not in created], [task for task in tasks if task.id in created]


def _touched(events: Sequence[Encoded]) -> set[str]:
    """The task columns that any event of the commit changed."""
    touched = set[str]()
    for encoded in events:
        event = encoded.event
        if isinstance(event, TaskEvent):
            touched.update(event.task_changes)
            if event.ranks:
                touched.add("rank")
    return touched


def key_row(record: asyncpg.Record) -> KeyRow:
    """A stored idempotency row."""
    headers = _decode_headers(record["headers"])
    reply = StoredReply(record["status"], headers, record["body"], record["seq"])
    return KeyRow(record["principal"], record["key"], record["fingerprint"], reply)


_EVENT_FIELDS: Final = len(JournalRow.__struct_fields__)


def journal_row(record: asyncpg.Record) -> JournalRow:
    """An event from a row that starts with the columns of `sql.EVENT_SELECT`, as it may be shown from now on.

    What is to be forgotten of it is so at once, whenever a worker comes to redact the row itself.
    """
    row, due = stored_row(record), record[_EVENT_FIELDS]
    return row if due is None else _without(row, due)


def stored_row(record: asyncpg.Record) -> JournalRow:
    """An event from a row that starts with the columns of `sql.STORED_EVENT_SELECT`, as it is in the journal."""
    return readable(JournalRow(*record[:_EVENT_FIELDS]))


def _without(row: JournalRow, due: Sequence[UUID]) -> JournalRow:
    """The row as it will be redacted. One of a type of a newer program cannot be judged: nothing of it is shown."""
    left = redacted(row.type, row.payload, due) if row.type in EVENT_TYPES else b"{}"
    return row if left is None else structs.replace(row, payload=left, salt=b"")


def task_of(record: asyncpg.Record, team_key: str) -> Task:
    """A task from a row that starts with the columns of `sql.TASK_SELECT`."""
    return Task(
        team_id=record[0],
        id=record[1],
        number=record[2],
        key=f"{team_key}-{record[2]}",
        title=record[3],
        description=record[4],
        status=record[5],
        priority=record[6],
        assignee_id=record[7],
        label_ids=tuple(record[8]),
        due_at=record[9],
        estimate=record[10],
        parent_id=record[11],
        blocked_by=tuple(record[12]),
        rank=record[13],
        external_id=record[14],
        external_source=record[15],
        comment_count=record[16],
        attachment_count=record[17],
        created_by=record[18],
        created_at=record[19],
        updated_at=record[20],
        completed_at=record[21],
        archived_at=record[22],
        version=record[23],
        column_id=record[24],
        due_on=record[25],
        recurrence=None if record[26] is None else _decode_recurrence(record[26]),
    )


def comment_of(record: asyncpg.Record) -> Comment:
    """A comment from a row that has the columns of `sql.COMMENT_SELECT`."""
    return Comment(
        id=record["id"],
        task_id=record["task_id"],
        author_id=record["author_id"],
        body=record["body"],
        mentions=tuple(record["mentions"]),
        created_at=record["created_at"],
        updated_at=record["updated_at"],
        version=record["version"],
    )


def team_of(record: asyncpg.Record) -> Team:
    """A team's settings from a row that has their columns."""
    return Team(
        id=record["id"],
        name=record["name"],
        key=record["key"],
        wip=record["wip"],
        time_zone=record["time_zone"],
        created_by=record["created_by"],
        created_at=record["created_at"],
        updated_at=record["updated_at"],
        version=record["version"],
    )


def attachment_of(record: asyncpg.Record) -> Attachment:
    """An attachment from a row that has its columns."""
    return Attachment(**{name: record[name] for name in ATTACHMENT_COLUMNS if name != "team_id"})


def columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows turned into `width` columns, also when there are none."""
    turned = [list(column) for column in zip(*rows, strict=True)]
    return turned or [[] for _ in range(width)]
