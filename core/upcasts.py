"""The data of events as earlier releases wrote it, brought into the shape of today before anybody reads it.

The journal is never written anew: a row keeps the version in which it was written, and these functions take it on from
there, one version at a time. They are pure. Attributes that are new to us need none of this: they are ignored.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from core.events import EVENT_TYPES, AnyEvent

__all__ = ["STEPS", "UnknownEvent", "known_type", "upcast"]

Data = dict[str, Any]
"""The data of an event as plain JSON."""


def _without_content(data: Data) -> Data:
    """`task.deleted` carried the task as it last was before it carried ids, number and key only."""
    return {"task": {name: data["task"][name] for name in ("id", "team_id", "number", "key")}}


def _with_policy(data: Data) -> Data:
    """`team.updated` carried limits by status before there were columns: where there were any, they were enforced."""
    team, previous = dict(data["team"]), dict(data.get("previous", {}))
    limits = team.pop("wip_limits", {})
    team["wip"] = _policy(limits)
    if "wip_limits" in previous and (before := _policy(previous.pop("wip_limits"))) != team["wip"]:
        previous["wip"] = before
    return {"team": team, "previous": previous, "limits": limits}


def _policy(limits: Data) -> str:
    return "block" if limits else "warn"


STEPS: Final[dict[tuple[str, int], Callable[[Data], Data]]] = {
    ("task.deleted", 1): _without_content,
    ("team.updated", 1): _with_policy,
}
"""By type and version: what brings data of that version to the next one."""


class UnknownEvent(Exception):
    """An event of a type, or with data of a version, that a newer program wrote: folding without it would be wrong."""

    def __init__(self, event_type: str, version: int) -> None:
        super().__init__(f"{event_type} of version {version} is not known here")
        self.event_type, self.version = event_type, version


def known_type(event_type: str, version: int) -> type[AnyEvent]:
    """The class of an event with data of this version. Raises UnknownEvent."""
    kind = EVENT_TYPES.get(event_type)
    if kind is None or version > kind.schema_version:
        raise UnknownEvent(event_type, version)
    return kind


def upcast(event_type: str, version: int, payload: bytes) -> bytes:
    """The JSON of an event's data at the version of today; data that is not older stays as it is."""
    kind = EVENT_TYPES.get(event_type)
    if kind is None or version >= kind.schema_version:
        return payload
    data: Data = msgspec.json.decode(payload)
    for older in range(version, kind.schema_version):
        data = STEPS[event_type, older](data)
    return msgspec.json.encode(data)
