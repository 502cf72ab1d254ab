"""Events as feeds, topics and webhooks carry them: CloudEvents 1.0, made of journal rows and read back into them.

JSON format: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md. The bytes depend on the
row alone.
"""

import re
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from core.codec import JournalRow, digest_of, event_id
from core.principal import ActorKind
from streams import paths

__all__ = ["MEDIA_TYPE", "cloud_event", "parse_cloud_event", "schema_urn"]

MEDIA_TYPE: Final = "application/cloudevents+json"

_encode = msgspec.json.Encoder().encode
_SOURCE: Final = paths.TEAM.removesuffix("{team_id}")


# The version of the data ends its schema's name, which was a path before it was a URN: `/schemas/task.moved.v1.json`.
_VERSION: Final = re.compile(r"(?::|\.v)([1-9][0-9]{0,3})(?:\.json)?$")


def schema_urn(event_type: str, version: int) -> str:
    """The name of the JSON Schema of an event's data, the same on every host."""
    return f"urn:taskforge:schema:{event_type}:{version}"


class _CloudEvent(Struct, gc=False):
    """Attributes and data in the order of their bytes; what is unset is left out."""

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
    epoch: int
    actor: UUID
    actorkind: ActorKind
    via: UUID | msgspec.UnsetType
    traceparent: str | msgspec.UnsetType
    salt: bytes | msgspec.UnsetType
    redacted: bool | msgspec.UnsetType
    digest: bytes | msgspec.UnsetType
    data: msgspec.Raw


def cloud_event(row: JournalRow) -> bytes:
    """The CloudEvent of a journal row, always the same bytes for the same row. Salt and digest in it are Base64.

    A row that was redacted has no salt and says `redacted`; with its digest nobody finds out what was written, and
    everybody can follow the chain of a checkpoint over it (`core/checkpoints.py`).
    """
    return _encode(
        _CloudEvent(
            "1.0",
            event_id(row),
            f"{_SOURCE}{row.team_id}",
            row.type,
            row.subject,
            row.at,
            "application/json",
            schema_urn(row.type, row.schema_version),
            row.team_id,
            row.seq,
            row.epoch,
            row.actor_id,
            row.actor_kind,
            row.via or msgspec.UNSET,
            row.traceparent or msgspec.UNSET,
            row.salt or msgspec.UNSET,
            True if row.redacted else msgspec.UNSET,
            (row.digest if row.redacted else b"") or msgspec.UNSET,
            msgspec.Raw(row.payload),
        )
    )


class _Attributes(Struct, gc=False):
    """What a CloudEvent of ours holds beyond its constants. Those of before the epochs end with the trace context."""

    teamid: UUID
    seq: int
    type: str
    subject: UUID
    actor: UUID
    time: datetime
    dataschema: str
    data: msgspec.Raw
    traceparent: str = ""
    epoch: int = 1
    actorkind: ActorKind = "user"
    via: UUID | None = None
    salt: bytes = b""
    digest: bytes = b""


_decode = msgspec.json.Decoder(_Attributes).decode


def parse_cloud_event(body: bytes) -> JournalRow:
    """The journal row that a CloudEvent of ours was made from. Raises msgspec.MsgspecError for anything else.

    Redacted events of before they carried their digest have neither that nor a salt.
    """
    event = _decode(body)
    version = _VERSION.search(event.dataschema)
    if version is None:
        raise msgspec.ValidationError(f"a schema without a version: {event.dataschema}")
    payload = bytes(event.data)
    return JournalRow(
        event.teamid,
        event.seq,
        event.type,
        event.subject,
        event.actor,
        event.time,
        event.traceparent,
        payload,
        event.salt,
        digest_of(event.salt, payload) if event.salt else event.digest,
        event.actorkind,
        event.via,
        int(version[1]),
        event.epoch,
    )
