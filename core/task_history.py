"""A change of a task that is to be taken back, and what has happened to the task since."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from core.events import AnyEvent, AnyTaskEvent, TaskCreated, TaskDeleted
from core.task import Task

__all__ = ["UNDOABLE", "TaskHistory", "Wanted", "changed_fields", "fields_before", "history_of", "is_of_series"]

UNDOABLE: Final = ("task.created", "task.updated", "task.moved", "task.archived", "task.restored")
"""The types of the changes that can be taken back: those of the task's own fields."""


class Wanted(NamedTuple):
    """Which change: the one of the task with this `seq`; with None, the newest one that this user made."""

    task_id: UUID
    seq: int | None
    user_id: UUID


class TaskHistory(Struct, frozen=True, gc=False):
    """The change, None where there is none such, and the fields of the task that later events have changed.

    `redacted`: the journal has forgotten what the change was. `deleted`: the task is gone for good.
    """

    change: AnyTaskEvent | None = None
    later: frozenset[str] = frozenset()
    redacted: bool = False
    deleted: bool = False

    def after(self, wanted: Wanted, event: AnyEvent) -> "TaskHistory":
        """The same once one more event has happened to the team."""
        if event.subject != wanted.task_id:
            return self
        if isinstance(event, TaskDeleted):
            return structs.replace(self, deleted=True)
        if not isinstance(event, AnyTaskEvent):
            return self
        by_them = wanted.seq is None and event.actor_id == wanted.user_id and not is_of_series(event)
        if event.seq == wanted.seq or by_them:
            return TaskHistory(event)
        return structs.replace(self, later=self.later | changed_fields(event))


def history_of(
    wanted: Wanted, events: Iterable[tuple[AnyEvent, bool]], history: TaskHistory | None = None
) -> TaskHistory:
    """The history that the task's own events in order add up to, after those of `history`.

    With each event comes whether it is redacted.
    """
    history = history or TaskHistory()
    for event, redacted in events:
        history = history.after(wanted, event)
        if redacted and history.change is event:
            history = structs.replace(history, redacted=True)
    return history


def changed_fields(event: AnyTaskEvent) -> frozenset[str]:
    """The fields of the task that the event changed. Who created it has changed whether it is on the board."""
    return frozenset({"archived_at"}) if isinstance(event, TaskCreated) else frozenset(event.previous)


def is_of_series(event: AnyTaskEvent) -> bool:
    """Whether a series of tasks has made this one, or has gone on without it: nobody's hand has done that.

    The first task of a series is somebody's own.
    """
    recurrence = event.task.recurrence
    if recurrence is None:
        return False
    if isinstance(event, TaskCreated):
        return recurrence.number > 1
    return "recurrence" in event.previous and recurrence.next_id is not None


def fields_before(event: AnyTaskEvent) -> dict[str, Any]:
    """The fields that the event changed, as they were before, in the types of a task; read from JSON, or not."""
    if isinstance(event, TaskCreated):
        return {"archived_at": None}
    known = {name: value for name, value in event.previous.items() if name in Task.__struct_fields__}
    before = msgspec.convert(known, _Before)
    return {name: getattr(before, name) for name in known}


_Before: Final[type[Struct]] = msgspec.defstruct(
    "_Before",
    [(field.name, field.type | UnsetType, UNSET) for field in structs.fields(Task)],
    frozen=True,
    kw_only=True,
)
