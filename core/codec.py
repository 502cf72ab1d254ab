"""Events as journal rows, encoded once, and journal rows as events again.

What travels beyond the journal is made of the row alone (`streams/cloud_events.py`), so that an event that is read back
tomorrow is the same to the byte.
"""

import hashlib
import re
from datetime import datetime
from typing import Any, Final, assert_never
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from core.columns import Category, Column, default_column_id
from core.comment import Comment
from core.ended import DeletedTeam
from core.event_data import (
    Counts,
    HistoryData,
    RedactionData,
    encode_attachment,
    encode_column,
    encode_column_fields,
    encode_comment,
    encode_comment_fields,
    encode_deleted_task,
    encode_deleted_team,
    encode_label,
    encode_label_fields,
    encode_member,
    encode_member_fields,
    encode_task,
    encode_task_fields,
    encode_team,
    encode_team_fields,
)
from core.events import (
    EVENT_TYPES,
    AnyEvent,
    AnyOtherEvent,
    Attachment,
    AttachmentEvent,
    ColumnEvent,
    CommentEvent,
    DeletedTask,
    Event,
    HistoryRedacted,
    Label,
    LabelEvent,
    Member,
    MemberEvent,
    TaskDeleted,
    TaskEvent,
    Team,
    TeamDeleted,
    TeamRestored,
    TeamUpdated,
)
from core.principal import ActorKind
from core.task import NO_COLUMN, Task
from core.upcasts import known_type, upcast


class JournalRow(Struct, frozen=True, array_like=True, gc=False):
    """One row of `task_events`, and the epoch it was written in.

    `payload` is the JSON of `data`; `traceparent` (W3C) may be empty. `digest` is the SHA-256 of salt and payload as
    they were written; `salt` (16 random bytes) is empty once the row is redacted. `via` is the key used, if any.
    `schema_version` is that of the payload when it was written.

    Encoded it is an array: so it travels between processes, also of two releases. New fields go to its end and have a
    default: an older program ignores them, and a newer one does without them.
    """

    team_id: UUID
    seq: int
    type: str
    subject: UUID
    actor_id: UUID
    at: datetime
    traceparent: str
    payload: bytes
    salt: bytes = b""
    digest: bytes = b""
    actor_kind: ActorKind = "user"
    via: UUID | None = None
    schema_version: int = 1
    epoch: int = 1

    @property
    def redacted(self) -> bool:
        """Whether the payload is not the one that was written: what it said of a task or a user is gone for good."""
        return not self.salt


class Encoded(Struct, frozen=True, gc=False):
    """An event with its bytes: `row` for the journal, `task` (the task's JSON) for the REST answer.

    The CloudEvent of the row is left to who sends it: most events have no reader in this process.
    """

    event: AnyEvent
    row: JournalRow
    task: bytes | None


class _TaskData(Struct, gc=False):
    task: Task
    previous: dict[str, Any] = {}
    ranks: dict[UUID, str] = {}


class _DeletedTaskData(Struct, gc=False):
    task: DeletedTask


class _CommentData(Struct, gc=False):
    comment: Comment
    task: Task
    previous: dict[str, Any] = {}


class _MemberData(Struct, gc=False):
    member: Member
    previous: dict[str, Any] = {}


class _LabelData(Struct, gc=False):
    label: Label
    previous: dict[str, Any] = {}


class _AttachmentData(Struct, gc=False):
    attachment: Attachment
    task: Task
    previous: dict[str, Any] = {}


class _ColumnData(Struct, gc=False):
    column: Column
    previous: dict[str, Any] = {}
    ranks: dict[UUID, str] = {}


class _DeletedTeamData(Struct, gc=False):
    team: DeletedTeam


class _TeamData(Struct, gc=False):
    team: Team
    previous: dict[str, Any] = {}
    limits: dict[Category, int] | None = None


_encode = msgspec.json.Encoder().encode


def _data_of(event: type[Event]) -> type[Struct]:
    """The shape of the data of a type of events."""
    if event is TaskDeleted:
        return _DeletedTaskData
    if event is HistoryRedacted:
        return RedactionData
    if event is TeamDeleted:
        return _DeletedTeamData
    noun = event.noun
    match noun:
        case "task":
            return _TaskData
        case "comment":
            return _CommentData
        case "member":
            return _MemberData
        case "label":
            return _LabelData
        case "column":
            return _ColumnData
        case "team":
            return _TeamData
        case "attachment":
            return _AttachmentData
        case "history":
            return HistoryData
        case _:
            assert_never(noun)


_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(_data_of(event)) for name, event in EVENT_TYPES.items()
}


def digest_of(salt: bytes, payload: bytes) -> bytes:
    """What a journal row remembers of its payload even after a redaction: SHA-256, 32 bytes."""
    return hashlib.sha256(salt + payload).digest()


def encode(
    event: AnyEvent,
    traceparent: str = "",
    *,
    salt: bytes,
    epoch: int = 1,
    actor_kind: ActorKind = "user",
    via: UUID | None = None,
) -> Encoded:
    """Encode an event once, for all of its readers. `salt` is 16 bytes of randomness that no other event has."""
    task: bytes | None = None
    if isinstance(event, TaskEvent):
        task = encode_task(event.task)
        subject, payload = event.task.id, _task_payload(event, task)
    else:
        subject, payload = event.subject, _payload(event)
    row = JournalRow(
        event.team_id,
        event.seq,
        event.type,
        subject,
        event.actor_id,
        event.at,
        traceparent,
        payload,
        salt,
        digest_of(salt, payload),
        actor_kind,
        via,
        event.schema_version,
        epoch,
    )
    return Encoded(event, row, task)


def _task_payload(event: TaskEvent, task: bytes) -> bytes:
    if isinstance(event, CommentEvent):
        # The comment comes first: its versions are found by how their payloads begin (`db/comments.py`).
        thing = b'"comment":%b,"previous":%b' % (encode_comment(event.comment), encode_comment_fields(event.previous))
    elif isinstance(event, AttachmentEvent):
        thing = b'"attachment":%b,"previous":%b' % (
            encode_attachment(event.attachment),
            encode_task_fields(event.previous),
        )
    else:
        return b'{"task":%b,"previous":%b%b}' % (task, encode_task_fields(event.previous), _ranks(event.ranks))
    after = event.task
    return b'{%b,"task_id":"%b","version":%d,"counts":%b,"task":%b}' % (
        thing,
        str(after.id).encode(),
        after.version,
        _encode(Counts(after.comment_count, after.attachment_count)),
        task,
    )


def _ranks(ranks: dict[UUID, str]) -> bytes:
    return b',"ranks":' + _encode(ranks) if ranks else b""


def _payload(event: AnyOtherEvent) -> bytes:
    match event:
        case MemberEvent():
            return b'{"member":%b,"previous":%b}' % (encode_member(event.member), encode_member_fields(event.previous))
        case LabelEvent():
            return b'{"label":%b,"previous":%b}' % (encode_label(event.label), encode_label_fields(event.previous))
        case ColumnEvent():
            column, previous = encode_column(event.column), encode_column_fields(event.previous)
            return b'{"column":%b,"previous":%b%b}' % (column, previous, _ranks(event.ranks))
        case TeamUpdated():
            return b'{"team":%b,"previous":%b}' % (encode_team(event.team), encode_team_fields(event.previous))
        case TeamDeleted():
            return b'{"team":%b}' % encode_deleted_team(event.team)
        case TeamRestored():
            return b'{"epoch":%d,"from_seq":%d}' % (event.epoch, event.from_seq)
        case HistoryRedacted():
            return b'{"subjects":%b,"through_seq":%d}' % (_encode(event.subjects), event.through_seq)
        case TaskDeleted():
            return b'{"task":%b}' % encode_deleted_task(event.task)
        case _:
            assert_never(event)


_EVENT_ID: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(?:([0-9]{1,10}):)?([0-9]{1,19})")


def event_id(row: JournalRow) -> str:
    """`<team id>:<epoch>:<seq>`: no two contents ever have the same, not even after a restore."""
    return id_of_event(row.team_id, row.epoch, row.seq)


def id_of_event(team_id: UUID, epoch: int, seq: int) -> str:
    """The same, of an event that is not at hand."""
    return f"{team_id}:{epoch}:{seq}"


def parse_event_id(text: str) -> tuple[UUID, int, int]:
    """(team id, epoch, seq) of an event id. Raises ValueError for anything else.

    Ids were `<team id>:<seq>` before there were epochs: those events are of the first one.
    """
    match = _EVENT_ID.fullmatch(text)
    if match is None:
        raise ValueError(f"not an event id: {text!r}")
    return UUID(match[1]), int(match[2] or 1), int(match[3])


def current_data(row: JournalRow) -> bytes:
    """The JSON of the row's data in the shape of today; as it is where a newer program wrote it."""
    return upcast(row.type, row.schema_version, row.payload)


def readable(row: JournalRow) -> JournalRow:
    """The row as anybody may read it: that of an event whose type carried content once goes without it, as redacted.

    The digest stays that of what was written.
    """
    if row.type == TaskDeleted.type and row.schema_version < TaskDeleted.schema_version:
        version = TaskDeleted.schema_version
        return structs.replace(row, payload=current_data(row), salt=b"", schema_version=version)
    return row


def decode(row: JournalRow) -> AnyEvent:
    """The event of a journal row, however old. What newer programs added to its data is ignored.

    Raises UnknownEvent, and msgspec.ValidationError for data of another shape.
    """
    kind = known_type(row.type, row.schema_version)
    data = _decoders[row.type].decode(current_data(row))
    if type(data) is _TaskData and data.task.column_id is NO_COLUMN:
        data = _in_default_column(data)
    fields = {name: getattr(data, name) for name in data.__struct_fields__}
    return kind(team_id=row.team_id, seq=row.seq, actor_id=row.actor_id, at=row.at, **fields)


def _in_default_column(data: _TaskData) -> _TaskData:
    """Before there were columns a task stood in what is now the first column of its status."""
    team_id, status = data.task.team_id, data.previous.get("status")
    column_id = default_column_id(team_id, data.task.status)
    # The values of `previous` are as JSON has them.
    previous = {} if status is None else {"column_id": str(default_column_id(team_id, status))}
    return _TaskData(structs.replace(data.task, column_id=column_id), {**data.previous, **previous}, data.ranks)


def reread(row: JournalRow) -> Encoded:
    """A journal row with everything derived from it, as `encode` gave it when it was written."""
    event = decode(row)
    task = encode_task(event.task) if isinstance(event, TaskEvent) else None
    return Encoded(event, row, task)
