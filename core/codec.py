"""Events as bytes, encoded once: the CloudEvent that feeds, topics and webhooks carry, and the journal row behind it.

CloudEvents 1.0 JSON (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). The bytes are
a pure function of the journal row, so that an event read back tomorrow is the same to the byte.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from core.events import EVENT_TYPES, AnyEvent, Label, LabelEvent, Member, MemberEvent, TaskEvent, Team, TeamUpdated
from core.task import Task, encode_task

EVENTS_MEDIA_TYPE: Final = "application/cloudevents+json"


class JournalRow(Struct, frozen=True, array_like=True, gc=False):
    """One row of `task_events`. `payload` is the JSON of `data`; `traceparent` (W3C) may be empty.

    Encoded it is an array: so it travels between processes.
    """

    team_id: UUID
    seq: int
    type: str
    subject: UUID
    actor_id: UUID
    at: datetime
    traceparent: str
    payload: bytes


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


class _MemberData(Struct, gc=False):
    member: Member
    previous: dict[str, Any] = {}


class _LabelData(Struct, gc=False):
    label: Label
    previous: dict[str, Any] = {}


class _TeamData(Struct, gc=False):
    team: Team
    previous: dict[str, Any] = {}


_encode = msgspec.json.Encoder().encode
_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(
        _TaskData
        if issubclass(event, TaskEvent)
        else _MemberData
        if issubclass(event, MemberEvent)
        else _LabelData
        if issubclass(event, LabelEvent)
        else _TeamData
    )
    for name, event in EVENT_TYPES.items()
}


_SCHEMAS: Final = {name: f"/schemas/{name}.v1.json" for name in EVENT_TYPES}


def encode(event: AnyEvent, traceparent: str = "") -> Encoded:
    """Encode an event once, for everybody."""
    task: bytes | None = None
    if isinstance(event, TaskEvent):
        task = encode_task(event.task)
        subject = event.task.id
        ranks = b',"ranks":' + _encode(event.ranks) if event.ranks else b""
        payload = b'{"task":%b,"previous":%b%b}' % (task, _encode(event.previous), ranks)
    else:
        subject, payload = event.subject, _payload(event)
    row = JournalRow(event.team_id, event.seq, event.type, subject, event.actor_id, event.at, traceparent, payload)
    return Encoded(event, row, task)


def _payload(event: MemberEvent | LabelEvent | TeamUpdated) -> bytes:
    if isinstance(event, MemberEvent):
        return _encode(_MemberData(event.member, event.previous))
    if isinstance(event, LabelEvent):
        return _encode(_LabelData(event.label, event.previous))
    return _encode(_TeamData(event.team, event.previous))


class _CloudEvent(Struct, gc=False):
    """The envelope in the order of its bytes; an absent trace context is left out."""

    specversion: str
    id: str
    source: str
    type: str
    subject: UUID
    time: datetime
    datacontenttype: str
    dataschema: str
    teamid: UUID
    seq: int
    actor: UUID
    traceparent: str | msgspec.UnsetType
    data: msgspec.Raw


def cloud_event(row: JournalRow) -> bytes:
    """The CloudEvent of a journal row, always the same bytes for the same row."""
    team = str(row.team_id)
    return _encode(
        _CloudEvent(
            "1.0",
            f"{team}:{row.seq}",
            f"/v1/teams/{team}",
            row.type,
            row.subject,
            row.at,
            "application/json",
            _SCHEMAS.get(row.type) or f"/schemas/{row.type}.v1.json",
            row.team_id,
            row.seq,
            row.actor_id,
            row.traceparent or msgspec.UNSET,
            msgspec.Raw(row.payload),
        )
    )


def decode(row: JournalRow) -> AnyEvent:
    """The event of a journal row. Raises msgspec.ValidationError or KeyError for a row this version does not know."""
    data = _decoders[row.type].decode(row.payload)
    kind = EVENT_TYPES[row.type]
    fields = {name: getattr(data, name) for name in data.__struct_fields__}
    return kind(team_id=row.team_id, seq=row.seq, actor_id=row.actor_id, at=row.at, **fields)


def reread(row: JournalRow) -> Encoded:
    """A journal row with everything derived from it, as `encode` gave it when it was written."""
    event = decode(row)
    task = encode_task(event.task) if isinstance(event, TaskEvent) else None
    return Encoded(event, row, task)


class _Envelope(Struct, gc=False):
    """What a CloudEvent of ours holds beyond its constants."""

    teamid: UUID
    seq: int
    type: str
    subject: UUID
    actor: UUID
    time: datetime
    data: msgspec.Raw
    traceparent: str = ""


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def parse_cloud_event(body: bytes) -> JournalRow:
    """The journal row that a CloudEvent of ours was made from. Raises msgspec.MsgspecError for anything else."""
    event = _decode_envelope(body)
    return JournalRow(
        event.teamid,
        event.seq,
        event.type,
        event.subject,
        event.actor,
        event.time,
        event.traceparent,
        bytes(event.data),
    )
