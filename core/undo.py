"""Taking back one change of a task: its fields get the values from before, unless anybody has changed them since.

What takes a change back is an event like any other, of whoever asks, so that it can itself be taken back. Where a task
stands is one thing, however many fields say it; so is when it is due.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from msgspec import structs

from core.commands import Asking, UndoTask
from core.decide_tasks import board_task, check_circles, check_references, check_version
from core.errors import Conflict, InvalidReference, NotFound
from core.events import (
    AnyTaskEvent,
    TaskArchived,
    TaskCreated,
    TaskMoved,
    TaskRestored,
    TaskUpdated,
)
from core.placing import check_entry, column_without
from core.ranking import insert_at
from core.task import Task, differences
from core.task_history import TaskHistory, Wanted, fields_before, is_of_series
from core.team import TeamState

__all__ = ["undo_task"]

_TOGETHER: Final = (
    frozenset({"status", "column_id", "rank", "completed_at"}),
    frozenset({"due_at", "due_on"}),
)
"""Fields that say one thing together: a later change of one stands in the way of all."""


def undo_task(state: TeamState, command: UndoTask, asking: Asking) -> AnyTaskEvent | None:
    """The event that takes the change back; None when the task is by now as it was before.

    Raises NotFound, InvalidReference for a `seq` that is no change of the task, and Conflict: `undo-conflict` names the
    fields that were changed since, or that cannot be what they were.
    """
    history = state.histories.get(Wanted(command.task_id, command.seq, command.user_id))
    if history is None:
        raise NotFound("task")  # Nobody has looked into the journal yet: the actor does, as for an archived task.
    if history.deleted:
        raise Conflict("undo-redacted", "This task was deleted for good.")
    task, change = state.task(command.task_id), _change(history, command)
    check_version(state, task, command.if_match, {})
    if is_of_series(change):
        raise _conflict({"recurrence"}, "is what made this change, and nobody's hand")
    before = fields_before(change)
    _check_untouched(before, history.later)
    if isinstance(change, TaskCreated | TaskRestored):
        return _put_away(state, task, before, asking)
    if isinstance(change, TaskArchived):
        return _put_back(state, task, before, asking)
    return _reversed(state, board_task(state, task.id, None, {}), change, before, asking)


def _change(history: TaskHistory, command: UndoTask) -> AnyTaskEvent:
    if history.redacted:
        raise Conflict("undo-redacted", "What this change was is forgotten for good.")
    if history.change is not None:
        return history.change
    if command.seq is not None:
        raise InvalidReference("/seq", "No change of this task has that number.")
    raise Conflict("nothing-to-undo", "You have not changed this task.")


def _check_untouched(before: Mapping[str, Any], later: frozenset[str]) -> None:
    wider = set(before)
    for together in _TOGETHER:
        if not together.isdisjoint(before):
            wider |= together
    if touched := wider & later:
        raise _conflict(touched, "was changed since")


def _conflict(fields: set[str], why: str) -> Conflict:
    names = tuple(sorted(fields))
    return Conflict("undo-conflict", f"This cannot be taken back: {', '.join(names)} {why}.", fields=names)


def _put_away(state: TeamState, task: Task, before: Mapping[str, Any], asking: Asking) -> TaskArchived:
    """Off the board again. What a restored task lost with it, such as an assignee who had left, it has again."""
    archived_at = before["archived_at"] or asking.now
    after = _next(state, task, {**before, "archived_at": archived_at}, asking)
    return TaskArchived(**_event(asking, task, after))


def _put_back(state: TeamState, task: Task, before: Mapping[str, Any], asking: Asking) -> TaskRestored:
    """Onto the board, where it stood. What it refers to must still be there."""
    references = {name: getattr(task, name) for name in ("assignee_id", "label_ids", "parent_id", "blocked_by")}
    _check_possible(state, task.id, references, asking)
    _check_entry(state, task.column_id)
    after, ranks = _placed(state, task, _next(state, task, before, asking))
    return TaskRestored(**_event(asking, task, after), ranks=ranks)


def _reversed(
    state: TeamState, task: Task, change: AnyTaskEvent, before: Mapping[str, Any], asking: Asking
) -> AnyTaskEvent | None:
    if all(getattr(task, name) == value for name, value in before.items()):
        return None  # A neighbour's move has spread its column anew, and has given it its old rank again.
    _check_possible(state, task.id, before, asking)
    after, ranks = _placed(state, task, _next(state, task, before, asking))
    if after.column_id != task.column_id:
        _check_entry(state, after.column_id)
    kind = TaskMoved if isinstance(change, TaskMoved) else TaskUpdated
    return kind(**_event(asking, task, after), ranks=ranks)


def _check_entry(state: TeamState, column_id: UUID) -> None:
    column = state.columns.get(column_id)
    if column is None:
        raise _conflict({"column_id"}, "refers to something that is gone")
    check_entry(state, column, "/column_id")


def _placed(state: TeamState, task: Task, after: Task) -> tuple[Task, dict[UUID, str]]:
    """The task at its rank, or beside another one that has it by now; and the ranks of neighbours that were spread."""
    column = column_without(state, after.column_id, task)
    index = bisect_left(column, (after.rank, after.id))
    if all(rank != after.rank for rank, _ in column[max(0, index - 1) : index + 1]):
        return after, {}
    rank, ranks = insert_at(column, index)
    return structs.replace(after, rank=rank), ranks


def _check_possible(state: TeamState, task_id: UUID, fields: Mapping[str, Any], asking: Asking) -> None:
    """Raise a Conflict that names the field when what it referred to is gone, or would go in a circle by now."""
    for name, value in fields.items():
        try:
            check_references(state, {name: value})
            check_circles(state, task_id, {name: value}, asking)
        except InvalidReference as error:
            raise _conflict({name}, "refers to something that is gone") from error
        except Conflict as error:
            raise _conflict({name}, "would go in a circle") from error


def _next(state: TeamState, task: Task, fields: Mapping[str, Any], asking: Asking) -> Task:
    """The task with these fields."""
    return structs.replace(task, **fields, updated_at=asking.now, version=state.seq + 1)


def _event(asking: Asking, before: Task, after: Task) -> dict[str, Any]:
    return {
        "team_id": before.team_id,
        "seq": after.version,
        "actor_id": asking.actor_id,
        "at": asking.now,
        "task": after,
        "previous": differences(before, after),
    }
