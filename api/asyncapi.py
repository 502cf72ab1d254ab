"""The topics as an AsyncAPI document: what a data team reads, with headers, keys and every form of a value.

https://www.asyncapi.com/docs/reference/specification/v3.0.0, with the Kafka bindings 0.5.0. Left out is what only
TaskForge's own parts write and read: mails, jobs, retries, dead letters and what the relays remember.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from api.answers import encode
from core import checkpoints, event_data
from core.event_data import OLDER_DATA, data_type
from core.events import EVENT_TYPES
from core.principal import ActorKind
from streams.cloud_events import MEDIA_TYPE, schema_urn
from streams.kafka.topics import CHECKPOINTS, INCARNATION, TASK_EVENTS, TASKS

__all__ = ["asyncapi_document"]

Json = dict[str, Any]

REFERENCE: Final = "#/components/schemas/{name}"
BINDING: Final = "0.5.0"
JSON: Final = "application/json"
UUID_TEXT: Final[Json] = {"type": "string", "format": "uuid"}
TRACEPARENT: Final[Json] = {"type": "string", "description": "W3C trace context of the request behind it."}
EVENT_ID: Final[Json] = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9]+:[0-9]+$",
    "description": "`<team>:<epoch>:<seq>`: deduplicate by it.",
}
ABOUT: Final = (
    "What TaskForge publishes for data teams. `docs/data-teams.md` says how to consume, order, deduplicate and verify "
    "it. Every record names the life of the broker's topics in the header `tf-incarnation`."
)


class _Channel(Struct, frozen=True):
    """A topic: its `id` in the document, what it is called, the records' key, and how it forgets."""

    id: str
    address: str
    title: str
    description: str
    key: str
    cleanup: str
    messages: Mapping[str, Json]
    operation: str


def asyncapi_document() -> bytes:
    """The document as JSON; the same bytes for the same version of the program."""
    schemas = _schemas()
    channels = [_events(), _tasks(), _checkpoints()]
    return encode(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "TaskForge topics", "version": "1", "description": ABOUT},
            "defaultContentType": JSON,
            "channels": {channel.id: _described(channel) for channel in channels},
            "operations": {channel.operation: _operation(channel) for channel in channels},
            "components": {
                "schemas": schemas,
                "messages": {name: one for channel in channels for name, one in channel.messages.items()},
            },
        }
    )


def _described(channel: _Channel) -> Json:
    return {
        "address": channel.address,
        "title": channel.title,
        "description": channel.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages},
        "bindings": {
            "kafka": {"topicConfiguration": {"cleanup.policy": [channel.cleanup]}, "bindingVersion": BINDING},
        },
    }


def _operation(channel: _Channel) -> Json:
    return {
        "action": "send",
        "title": channel.title,
        "channel": {"$ref": f"#/channels/{channel.id}"},
        "messages": [{"$ref": f"#/channels/{channel.id}/messages/{name}"} for name in channel.messages],
    }


def _message(name: str, title: str, about: str, payload: Json, headers: Json, key: str, media_type: str = JSON) -> Json:
    return {
        "name": name,
        "title": title,
        "description": about,
        "contentType": media_type,
        "headers": headers,
        "payload": payload,
        "bindings": {"kafka": {"key": {**UUID_TEXT, "description": key}, "bindingVersion": BINDING}},
    }


def _headers(media_type: str, event_id: str, *, traced: bool = False) -> Json:
    properties: Json = {
        "event_id": {**EVENT_ID, "description": event_id},
        "content-type": {"type": "string", "const": media_type},
        INCARNATION: {"type": "string", "description": "The life of the broker's topics; a new one means: begin anew."},
    }
    optional = {"traceparent": TRACEPARENT} if traced else {}
    return {"type": "object", "properties": {**properties, **optional}, "required": list(properties)}


def _events() -> _Channel:
    key = "The team's id."
    headers = _headers(MEDIA_TYPE, EVENT_ID["description"], traced=True)
    messages = {
        f"{event}.{version}": _message(
            event, f"{event}, version {version}", about, _envelope(event, version, data), headers, key, MEDIA_TYPE
        )
        for event, version, data, about in _event_forms()
    }
    return _Channel(
        id="taskEvents",
        address=TASK_EVENTS,
        title="Every event of every team",
        description="CloudEvents 1.0 in structured mode, in the order of each team's `seq`, at least once.",
        key=key,
        cleanup="delete",
        messages=messages,
        operation="publishEvents",
    )


def _event_forms() -> Iterator[tuple[str, int, type[Struct], str]]:
    """Type, version, shape of the data and description of every event that the topic may hold."""
    for name, event in EVENT_TYPES.items():
        yield name, event.schema_version, data_type(event), inspect.getdoc(event) or ""
    for (name, version), (data, about) in OLDER_DATA.items():
        yield name, version, data, about


def _envelope(event: str, version: int, data: type[Struct]) -> Json:
    """The attributes in the order of their bytes; `data` is always the last one."""
    properties: Json = {
        "specversion": {"type": "string", "const": "1.0"},
        "id": EVENT_ID,
        "source": {"type": "string", "description": "`/v1/teams/<team>`"},
        "type": {"type": "string", "const": event},
        "subject": {**UUID_TEXT, "description": "What it is about."},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"type": "string", "const": JSON},
        "dataschema": {"type": "string", "const": schema_urn(event, version)},
        "teamid": UUID_TEXT,
        "seq": {"type": "integer", "minimum": 1, "description": "The team's gap-free number."},
        "epoch": {"type": "integer", "minimum": 1, "description": "Raised when history was rewritten by a restore."},
        "actor": {**UUID_TEXT, "description": "The user who did it."},
        "actorkind": {"type": "string", "enum": list(get_args(ActorKind))},
        "data": {"$ref": REFERENCE.format(name=data.__name__)},
    }
    optional: Json = {
        "via": {**UUID_TEXT, "description": "The API key that was used."},
        "traceparent": TRACEPARENT,
        "salt": {"type": "string", "description": "Base64 of 16 bytes: SHA-256 of these and `data` is the digest."},
        "redacted": {"type": "boolean", "const": True, "description": "What it said of somebody or something is gone."},
        "digest": {"type": "string", "description": "Base64 of the digest of what was written; of redacted events."},
    }
    return {"type": "object", "properties": {**properties, **optional}, "required": list(properties)}


def _tasks() -> _Channel:
    key = "The task's id."
    headers = _headers(JSON, "The event that brought the task into this state.")
    task = _message(
        "task", "A task as it is now", "Archived ones, too.", {"$ref": REFERENCE.format(name="Task")}, headers, key
    )
    gone = _message("task.gone", "A task that is gone", "A tombstone: no value.", {"type": "null"}, headers, key)
    return _Channel(
        id="tasks",
        address=TASKS,
        title="Each task as it is now",
        description="Compacted by the task's id. Of two values the one with the higher `epoch` and `version` counts.",
        key=key,
        cleanup="compact",
        messages={"task": task, "task.gone": gone},
        operation="publishTasks",
    )


def _checkpoints() -> _Channel:
    key = "The team's id."
    headers = _headers(JSON, "The last event that the checkpoint counts.")
    about = inspect.getdoc(checkpoints.Checkpoint) or ""
    payload = {"$ref": REFERENCE.format(name="Checkpoint")}
    return _Channel(
        id="checkpoints",
        address=CHECKPOINTS,
        title="What a copy of a team must add up to",
        description="Compacted by the team's id. A checkpoint is published after the last event that it counts.",
        key=key,
        cleanup="compact",
        messages={"checkpoint": _message("checkpoint", "A team's checkpoint", about, payload, headers, key)},
        operation="publishCheckpoints",
    )


def _schemas() -> Json:
    shapes = [data for _, _, data, _ in _event_forms()]
    wanted = dict.fromkeys([*shapes, event_data.Task, checkpoints.Checkpoint])
    _, schemas = msgspec.json.schema_components(wanted, ref_template=REFERENCE)
    return dict(sorted(schemas.items()))
