"""What is left of an event once a task is deleted for good, or a user erased: pure, from JSON to JSON.

A redacted event keeps its type, number, time and ids, and folds like any other. What somebody has written in the task,
or what the user was called, is replaced.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, assert_never
from uuid import UUID

import msgspec

from core.ended import DELETED_TEAM, GONE_KEY
from core.events import EVENT_TYPES

__all__ = [
    "ATTACHMENT_TEXTS",
    "COMMENT_TEXTS",
    "DELETED_TASK",
    "DELETED_USER",
    "MEMBER_TEXTS",
    "TASK_TEXTS",
    "redacted",
    "redacted_with_team",
]

DELETED_USER: Final = "Deleted user"
DELETED_TASK: Final = "Deleted task"

TASK_TEXTS: Final[Mapping[str, Any]] = {
    "title": DELETED_TASK,
    "description": "",
    "external_id": None,
    "external_source": None,
}
"""What people, or their programs, have written into a task, and what stands there afterwards."""
COMMENT_TEXTS: Final[Mapping[str, Any]] = {"body": "", "mentions": ()}
"""The same of a comment, which goes with its task, or when it is deleted itself."""
ATTACHMENT_TEXTS: Final[Mapping[str, Any]] = {"name": "Deleted file"}
"""What a file of such a task was called."""
MEMBER_TEXTS: Final[Mapping[str, Any]] = {"name": DELETED_USER}
OF_TEAM: Final[Mapping[str, Mapping[str, Any]]] = {
    "task": TASK_TEXTS,
    "comment": COMMENT_TEXTS,
    "attachment": ATTACHMENT_TEXTS,
    "member": MEMBER_TEXTS,
    "label": {"name": "Deleted label"},
    "column": {"name": "Deleted column"},
    "team": {"name": DELETED_TEAM},
}
"""What anybody has written in a team, by what it stands in, and what stands there once the team is forgotten."""


def redacted(event_type: str, payload: bytes, subjects: Collection[UUID]) -> bytes | None:
    """The payload without what it said of the subjects; None when it says nothing of them, or nothing that is theirs.

    Raises KeyError for a type that this version does not know: what it holds cannot be judged here.
    """
    noun = EVENT_TYPES[event_type].noun
    match noun:
        case "task":
            return _replaced(payload, "task", "id", TASK_TEXTS, subjects)
        case "comment":
            return _without_comment(payload, subjects)
        case "attachment":
            return _replaced(payload, "task", "id", TASK_TEXTS, subjects, attachment=ATTACHMENT_TEXTS)
        case "member":
            return _replaced(payload, "member", "user_id", MEMBER_TEXTS, subjects)
        case "label" | "column" | "team" | "history":
            return None  # Names of labels, of columns and of the team belong to the team, and go with it.
        case _:
            assert_never(noun)


def redacted_with_team(event_type: str, payload: bytes) -> bytes | None:
    """The payload without anything that somebody of the team has written; None when there is nothing of that in it.

    Raises KeyError as `redacted` does.
    """
    noun = EVENT_TYPES[event_type].noun
    data: dict[str, Any] = msgspec.json.decode(payload)
    left = {name: _nameless(name, value) if name in OF_TEAM else value for name, value in data.items()}
    if "previous" in data:
        left["previous"] = _without(data["previous"], OF_TEAM["task" if noun == "attachment" else noun])
    encoded = msgspec.json.encode(left)
    return None if msgspec.json.decode(encoded) == data else encoded


def _nameless(kind: str, thing: Mapping[str, Any]) -> dict[str, Any]:
    """A thing without what was written in it. The team's key is in the keys of its tasks, too."""
    left = _without(thing, OF_TEAM[kind])
    if "key" in left:
        left["key"] = GONE_KEY if kind == "team" else f"{GONE_KEY}-{left['number']}"
    return left


def _without_comment(payload: bytes, subjects: Collection[UUID]) -> bytes | None:
    """With its task goes what both say; with the comment alone, what it said itself."""
    data: dict[str, Any] = msgspec.json.decode(payload)
    with_task = UUID(data["task_id"]) in subjects
    if not with_task and UUID(data["comment"]["id"]) not in subjects:
        return None
    if with_task:
        data["task"] = _without(data["task"], TASK_TEXTS)
    data["comment"] = _without(data["comment"], COMMENT_TEXTS)
    data["previous"] = _without(data["previous"], COMMENT_TEXTS)
    return msgspec.json.encode(data)


def _replaced(
    payload: bytes,
    noun: str,
    key: str,
    texts: Mapping[str, Any],
    subjects: Collection[UUID],
    **beside: Mapping[str, Any],
) -> bytes | None:
    """`beside` has the texts of what belongs to the thing and stands next to it."""
    data: dict[str, Any] = msgspec.json.decode(payload)
    thing: dict[str, Any] = data[noun]
    if UUID(thing[key]) not in subjects or not texts.keys() & thing.keys():
        return None
    data[noun] = _without(thing, texts)
    if "previous" in data:
        data["previous"] = _without(data["previous"], texts)
    data |= {name: _without(data[name], of_it) for name, of_it in beside.items()}
    return msgspec.json.encode(data)


def _without(fields: Mapping[str, Any], texts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: texts.get(name, value) for name, value in fields.items()}
