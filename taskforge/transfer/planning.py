"""A wish against the team as it is: what to ask for, if anything. Pure; nothing is asked here."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from core.columns import Column
from core.commands import CreateTask, UpdateTask
from core.task import Task, TaskFields, TaskPatch, in_utc
from core.team import TeamState
from core.text import fold_name
from taskforge.transfer.cells import Wish

__all__ = ["Known", "Plan", "by_name", "column_of", "link", "named", "plan"]

T = TypeVar("T")

LISTS: Final = ("label_ids", "blocked_by")


class Known(Struct):
    """What names mean in this team. `made` maps ids and keys of the file's own rows to tasks, as they come to be."""

    labels: dict[str, UUID]
    columns: Mapping[str, Column]
    """By their names (`by_name`)."""
    users: Mapping[str, UUID]
    archived: Mapping[UUID, Task]
    keys: Mapping[str, UUID]
    made: dict[str, UUID]
    coming: frozenset[str]


class Plan(Struct, frozen=True):
    """`command` None: nothing to do. `task_id` is the task when it exists. `pending`: refers to rows not made yet."""

    wish: Wish
    command: CreateTask | UpdateTask | None
    task_id: UUID | None = None
    pending: bool = False


class _Pending(Exception):
    """A reference to a row of the file that is not a task yet."""


def plan(wish: Wish, state: TeamState, known: Known) -> Plan:
    """Create, update or nothing. Raises ValueError with a reason when the row cannot be understood in this team."""
    task = _existing(wish, state, known)
    given, pending = _given(wish, known, later=False)
    if task is None:
        return Plan(wish, CreateTask(_fields(wish, given)), pending=pending)
    patch = _differences(task, given)
    return Plan(wish, None if patch is None else UpdateTask(task.id, patch), task.id, pending)


def link(wish: Wish, task: Task, known: Known) -> UpdateTask | None:
    """The references of a row whose others have been made meanwhile."""
    given, _ = _given(wish, known, later=True)
    patch = _differences(task, {name: given[name] for name in ("parent_id", "blocked_by") if name in given})
    return None if patch is None else UpdateTask(task.id, patch)


def _existing(wish: Wish, state: TeamState, known: Known) -> Task | None:
    """By its id when the row was exported from this team, else by its external id."""
    task_id = wish.id
    if task_id is not None and task_id not in state.tasks and task_id not in known.archived:
        task_id = None
    if task_id is None and wish.external is not None:
        task_id = state.external.get(wish.external)
    if task_id is None:
        return None
    task = state.tasks.get(task_id) or known.archived.get(task_id)
    if task is None:
        raise ValueError("the task was archived or deleted meanwhile")
    return task


def _given(wish: Wish, known: Known, *, later: bool) -> tuple[dict[str, Any], bool]:
    """The fields that the row sets, names resolved; `later`: a row that is still not made is an error."""
    given, pending = wish.patch.changes(), False
    if "due_at" in given:
        given["due_at"] = in_utc(given["due_at"])
    if (column := column_of(wish, known)) is not None:
        given |= {"column_id": column.id, "status": column.category}
    if wish.labels is not UNSET:
        given["label_ids"] = tuple(dict.fromkeys(named(known.labels, name) for name in wish.labels))
    if wish.assignee is not UNSET:
        given["assignee_id"] = None if wish.assignee is None else _user(wish.assignee, known)
    for name, value in (("parent_id", wish.parent), ("blocked_by", wish.blocked_by)):
        if value is UNSET:
            continue
        try:
            given[name] = _resolved(value, known, name)
        except _Pending:
            if later:
                raise ValueError(f"{name}: refers to a row that was not imported") from None
            pending = True
    return given, pending


def by_name(named_things: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Things by their names, as they are written and as they are compared."""
    things = list(named_things)
    return {fold_name(name): thing for name, thing in things} | dict(things)


def named(things: Mapping[str, T], name: str) -> T | None:
    """What has the name. A team may have several from before blanks were the same: the one that is written so."""
    return things.get(name, things.get(fold_name(name)))


def column_of(wish: Wish, known: Known) -> Column | None:
    """The column that the row names, unless there is none of this name, or its tasks have another status here."""
    if wish.column is None:
        return None
    column = named(known.columns, wish.column)
    status = wish.patch.status
    return column if column is not None and status in (UNSET, column.category) else None


def _resolved(value: str | tuple[str, ...] | UnsetType | None, known: Known, name: str) -> Any:
    if isinstance(value, tuple):
        return tuple(dict.fromkeys(_reference(text, known, name) for text in value))
    return _reference(value, known, name) if isinstance(value, str) else None


def _reference(text: str, known: Known, name: str) -> UUID:
    """Rows of the file come first: an exported key names the exported task, wherever it is imported."""
    found = known.made.get(text)
    if found is None and text in known.coming:
        raise _Pending
    found = found or known.keys.get(text)
    if found is None:
        raise ValueError(f"{name}: {text!r} is no task of the file or of this team")
    return found


def _user(text: str, known: Known) -> UUID:
    found = known.users.get(text)
    if found is not None:
        return found
    try:
        return UUID(text)
    except ValueError:
        raise ValueError(f"assignee: there is no account {text!r}") from None


def _fields(wish: Wish, given: Mapping[str, Any]) -> TaskFields:
    if "title" not in given:
        raise ValueError("title: a new task needs one")
    source, name = wish.external or (None, None)
    try:
        return TaskFields(**given, external_id=name, external_source=source)
    except (ValueError, msgspec.ValidationError) as error:
        raise ValueError(str(error)) from error


def _differences(task: Task, given: Mapping[str, Any]) -> TaskPatch | None:
    """Only what differs; lists are compared as sets, because a file's order of labels means nothing."""
    changed = {name: value for name, value in given.items() if _differs(name, getattr(task, name), value)}
    return structs.replace(TaskPatch(), **changed) if changed else None


def _differs(name: str, has: Any, wanted: Any) -> bool:
    """A series is the same by its rule; one that has passed on to another task is as good as none."""
    if name in LISTS:
        return set(has) != set(wanted)
    if name == "recurrence" and has is not None:
        same = wanted is not None and (has.rule, has.when) == (wanted.rule, wanted.when)
        return not (same or (wanted is None and has.next_id is not None))
    return bool(has != wanted)
