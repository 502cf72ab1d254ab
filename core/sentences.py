"""What an event did to a task, for people: an English sentence, and each change with names in place of ids.

Whoever shows them knows the names; an id without one is said to be of something that is gone.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final
from uuid import UUID

from msgspec import Struct, structs

from core.codec import JournalRow
from core.events import AnyEvent, AnyTaskEvent, AttachmentEvent, TaskCreated, TaskMoved
from core.task_history import fields_before

__all__ = ["Change", "Named", "Names", "changes_of", "doer", "references_of", "sentence"]

_REFERENCE: Final = frozenset({"assignee_id", "parent_id", "column_id"})
_REFERENCES: Final = frozenset({"label_ids", "blocked_by"})
SERIES: Final = "The series"
_UNSAID: Final = frozenset({"rank", "completed_at", "archived_at", "comment_count", "attachment_count"})
"""What changes along with something else, or says nothing to a reader."""


class Named(Struct, frozen=True):
    """A person, label, column or task."""

    id: UUID
    name: str


class Change(Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """A field before and after. What refers to something has its id and name; what refers to several, a list."""

    field: str
    before: Any
    after: Any


class Names(Struct, frozen=True):
    """What people, labels, columns and tasks are called, and the zone in which moments are said."""

    known: Mapping[UUID, str]
    zone: tzinfo

    def of(self, thing: UUID | None) -> str:
        """The name; for what nobody remembers, that it is gone."""
        return "something that is gone" if thing is None else self.known.get(thing, "something that is gone")

    def person(self, user_id: UUID) -> str:
        """The name of whoever did it."""
        return self.known.get(user_id, "Somebody")


def references_of(event: AnyTaskEvent) -> set[UUID]:
    """The ids that the event's changes name, whose names are to be known."""
    found: set[UUID] = {event.actor_id, event.task.column_id}
    for name, before in fields_before(event).items():
        after = getattr(event.task, name)
        if name in _REFERENCE:
            found |= {one for one in (before, after) if one is not None}
        elif name in _REFERENCES:
            found |= {*before, *after}
    return found


def changes_of(event: AnyTaskEvent, names: Names) -> list[Change]:
    """The fields that the event changed, but for the server's own order of tasks; none where the task is new."""
    return [
        Change(name, _shown(name, before, names), _shown(name, getattr(event.task, name), names))
        for name, before in fields_before(event).items()
        if event.previous and name != "rank"
    ]


def _shown(field: str, value: Any, names: Names) -> Any:
    if field in _REFERENCE:
        return None if value is None else Named(value, names.of(value))
    if field in _REFERENCES:
        return [Named(one, names.of(one)) for one in value]
    return value


def doer(row: JournalRow, event: AnyEvent | None, names: Names) -> str:
    """The name of whoever did it. What a series of tasks makes is no person's doing, in whosever name it acts."""
    if row.actor_kind == "system" and isinstance(event, AnyTaskEvent):
        made = isinstance(event, TaskCreated) and event.task.recurrence is not None
        if made or "recurrence" in event.previous:
            return SERIES
    return names.person(row.actor_id)


def sentence(row: JournalRow, event: AnyEvent | None, names: Names) -> str:
    """What happened, in one sentence. `event` is None for one of a type that this version does not know.

    A redacted event says what kind of thing was done, and that the rest is forgotten; one of a type without words here
    says its type.
    """
    who = doer(row, event, names)
    if row.redacted:
        return f"{who} {_FORGOTTEN.get(row.type, 'changed something that is forgotten for good')}."
    if isinstance(event, AttachmentEvent):
        return f"{who} {_OTHERS[row.type]} “{event.attachment.name}”."
    if not isinstance(event, AnyTaskEvent):
        return f"{who} {_OTHERS.get(row.type, f'caused {row.type}')}."
    said = [_TYPES[event.type]] if event.type in _TYPES else []
    said += _moved(event, names)
    before = fields_before(event) if event.previous else {}
    for name, old in before.items():
        if name not in _UNSAID | {"status", "column_id"}:
            say = _FIELDS.get(name, _changed(name))
            said += say(old, getattr(event.task, name), names, event)
    return f"{who} {_listed(said) or 'changed it'}."


_TYPES: Final = {
    "task.created": "created it",
    "task.archived": "archived it",
    "task.restored": "restored it",
}
_OTHERS: Final = {
    "task.deleted": "deleted it for good",
    "comment.added": "commented on it",
    "comment.edited": "edited a comment",
    "comment.deleted": "deleted a comment",
    "attachment.added": "attached",
    "attachment.deleted": "removed the file",
}

_FORGOTTEN: Final = {
    **_TYPES,
    "task.moved": "moved it",
    "task.deleted": "deleted it for good",
    "comment.added": "added a comment that was deleted",
    "comment.edited": "edited a comment that was deleted",
    "comment.deleted": "deleted a comment",
    "attachment.added": "attached a file",
    "attachment.deleted": "removed a file",
}
"""What is known of a redacted event: its type. What was said or changed is not."""

Say = Callable[[Any, Any, Names, AnyTaskEvent], list[str]]


def _moved(event: AnyTaskEvent, names: Names) -> list[str]:
    """From one column to another, or within one."""
    before, column = fields_before(event), names.of(event.task.column_id)
    if "column_id" in before:
        return [f"moved it from {names.of(before['column_id'])} to {column}"]
    return [f"moved it within {column}"] if isinstance(event, TaskMoved) else []


def _title(old: str, new: str, _: Names, __: AnyTaskEvent) -> list[str]:
    return [f"renamed it from “{old}” to “{new}”"]


def _priority(_: str, new: str, __: Names, ___: AnyTaskEvent) -> list[str]:
    return ["took away the priority"] if new == "none" else [f"set the priority to {new}"]


def _assignee(old: UUID | None, new: UUID | None, names: Names, event: AnyTaskEvent) -> list[str]:
    if new is None:
        return [f"took it from {names.of(old)}"]
    return ["took it on"] if new == event.actor_id else [f"assigned it to {names.of(new)}"]


def _labels(old: Sequence[UUID], new: Sequence[UUID], names: Names, _: AnyTaskEvent) -> list[str]:
    added = [names.of(one) for one in new if one not in old]
    removed = [names.of(one) for one in old if one not in new]
    said = [f"added the label{'s' if len(added) > 1 else ''} {_listed(added)}"] if added else []
    return said + ([f"removed the label{'s' if len(removed) > 1 else ''} {_listed(removed)}"] if removed else [])


def _due(_: Any, new: Any, names: Names, event: AnyTaskEvent) -> list[str]:
    """An instant or a calendar date; when one takes the other's place, only the new one is said."""
    if new is not None:
        return [f"set due to {_day(new, names)}"]
    other = [getattr(event.task, name, None) for name in ("due_at", "due_on")]
    return [] if any(other) else ["took away the due date"]


def _day(when: Any, names: Names) -> str:
    if not isinstance(when, datetime):
        return f"{when.day} {when:%B %Y}"
    there = when.astimezone(names.zone)
    return f"{there.day} {there:%B %Y}, {there:%H:%M} ({names.zone})"


def _recurrence(old: Any, new: Any, _: Names, __: AnyTaskEvent) -> list[str]:
    if new is None:
        return ["ended its recurrence"]
    if old is not None and structs.replace(old, time=new.time) == new:
        return ["took its series along"]
    return ["made the next one"] if new.next_id is not None else [f"made it recur ({new.rule}, when {new.when})"]


def _estimate(_: float | None, new: float | None, __: Names, ___: AnyTaskEvent) -> list[str]:
    return ["took away the estimate"] if new is None else [f"set the estimate to {new:g}"]


def _parent(old: UUID | None, new: UUID | None, names: Names, _: AnyTaskEvent) -> list[str]:
    return [f"took it out of {names.of(old)}"] if new is None else [f"made it a subtask of {names.of(new)}"]


def _blockers(old: Sequence[UUID], new: Sequence[UUID], names: Names, _: AnyTaskEvent) -> list[str]:
    added = [names.of(one) for one in new if one not in old]
    removed = [names.of(one) for one in old if one not in new]
    said = [f"made it wait for {_listed(added)}"] if added else []
    return said + ([f"made it wait no longer for {_listed(removed)}"] if removed else [])


def _changed(field: str) -> Say:
    return lambda _, __, ___, ____: [f"changed the {field.replace('_', ' ')}"]


_FIELDS: Final[Mapping[str, Say]] = {
    "title": _title,
    "priority": _priority,
    "assignee_id": _assignee,
    "label_ids": _labels,
    "due_at": _due,
    "due_on": _due,
    "recurrence": _recurrence,
    "estimate": _estimate,
    "parent_id": _parent,
    "blocked_by": _blockers,
}


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""
