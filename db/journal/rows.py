"""Between the domain's shapes and rows: arguments for the statements of the journal, and rows read back."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct, structs

from core.codec import Encoded, JournalRow
from core.events import (
    Label,
    LabelDeleted,
    LabelEvent,
    Member,
    MemberEvent,
    MemberRemoved,
    TaskCreated,
    TaskEvent,
    Team,
    TeamUpdated,
)
from core.task import Status, Task
from core.writes import KeyRow, StoredReply, TeamWrites
from db.journal.commit_sql import TASK_ROW, shape_for, statement_of

__all__ = [
    "Projection",
    "columns",
    "commit_statement",
    "encode_limits",
    "journal_row",
    "key_row",
    "projection",
    "task_of",
    "team_of",
]

encode_limits = msgspec.json.Encoder().encode
_decode_limits = msgspec.json.Decoder(dict[Status, int]).decode
_encode_headers = msgspec.json.Encoder().encode
_decode_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


def commit_statement(batches: Sequence[TeamWrites]) -> tuple[str, list[Any]]:
    """The smallest statement that writes the batches, and its arguments: rows, as tuples."""
    events = [event for writes in batches for event in writes.events]
    deleted = [(writes.team_id, task_id) for writes in batches for task_id in writes.deleted]
    old, new = _by_age([task for writes in batches for task in writes.tasks], events)
    touched = _touched(events) if old else set()
    shape = shape_for(touched, keys=any(writes.keys for writes in batches), creates=bool(new or deleted))
    arguments: list[Any] = [
        [_team_row(writes, creates=shape.creates) for writes in batches],
        [structs.astuple(event.row)[:-1] for event in events],  # All but the epoch, which is the team's.
        _task_rows(old, shape.row, described="description" in touched),
    ]
    if shape.keys:
        arguments.append([_key_row(row, writes.team_id) for writes in batches for row in writes.keys])
    if shape.creates:
        arguments += [_task_rows(new, TASK_ROW), *columns(deleted, 2)]
    return statement_of(shape), arguments


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
        return list(map(attrgetter(*names), tasks))
    short = attrgetter(*names[:-1])
    return [(*short(task), None) for task in tasks]


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
            touched.update(event.previous)
            if event.ranks:
                touched.add("rank")
    return touched


class Projection(Struct, frozen=True):
    """What a batch leaves behind besides tasks; None stands for removed. Empty for almost every batch."""

    team: Team | None
    members: dict[UUID, Member | None]
    labels: dict[UUID, Label | None]

    def __bool__(self) -> bool:
        return self.team is not None or bool(self.members) or bool(self.labels)


def projection(writes: TeamWrites) -> Projection:
    """The last word of the batch's events about the team, its members and labels."""
    team: Team | None = None
    members: dict[UUID, Member | None] = {}
    labels: dict[UUID, Label | None] = {}
    for encoded in writes.events:
        event = encoded.event
        if isinstance(event, TaskEvent):
            continue
        if isinstance(event, MemberEvent):
            members[event.member.user_id] = None if isinstance(event, MemberRemoved) else event.member
        elif isinstance(event, LabelEvent):
            labels[event.label.id] = None if isinstance(event, LabelDeleted) else event.label
        elif isinstance(event, TeamUpdated):
            team = event.team
    return Projection(team, members, labels)


def key_row(record: asyncpg.Record) -> KeyRow:
    """A stored idempotency row."""
    headers = _decode_headers(record["headers"])
    reply = StoredReply(record["status"], headers, record["body"], record["seq"])
    return KeyRow(record["principal"], record["key"], record["fingerprint"], reply)


_EVENT_FIELDS: Final = len(JournalRow.__struct_fields__)


def journal_row(record: asyncpg.Record) -> JournalRow:
    """An event from a row that starts with the columns of `sql.EVENT_SELECT`."""
    return JournalRow(*record[:_EVENT_FIELDS])


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
    )


def team_of(record: asyncpg.Record) -> Team:
    """A team's settings from a row that has their columns."""
    return Team(
        id=record["id"],
        name=record["name"],
        key=record["key"],
        wip_limits=_decode_limits(record["wip_limits"]),
        created_by=record["created_by"],
        created_at=record["created_at"],
        updated_at=record["updated_at"],
        version=record["version"],
    )


def columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows turned into `width` columns, also when there are none."""
    turned = [list(column) for column in zip(*rows, strict=True)]
    return turned or [[] for _ in range(width)]
