"""In which column a task is to stand, and whether it may enter there."""

from bisect import bisect_left
from datetime import datetime
from uuid import UUID

from msgspec import UnsetType

from core.columns import Column
from core.errors import Conflict, Contradiction, InvalidReference
from core.events import AnyEvent, TaskCreated, TaskEvent, TaskRestored
from core.ranking import Place
from core.task import Status, Task
from core.team import TeamState

__all__ = ["check_entry", "column_to_return_to", "column_without", "completed_at", "overfilled", "wanted_column"]


def wanted_column(
    state: TeamState, status: Status | UnsetType | None, column_id: UUID | UnsetType | None, task: Task | None = None
) -> Column:
    """The column that was named, or else the one meant by a status: the first of that category, unless `task` stands in
    one already. With neither, where it stands; a new task stands in the first open column.

    Raises InvalidReference, Contradiction where column and status disagree, Conflict("no-column").
    """
    if isinstance(column_id, UUID):
        column = state.columns.get(column_id)
        if column is None:
            raise InvalidReference("/column_id", "No such column in this team.")
        if isinstance(status, str) and status != column.category:
            raise Contradiction("/status", f"The column {column.name} is not one of {status}.")
        return column
    if task is not None and (not isinstance(status, str) or status == task.status):
        return state.columns[task.column_id]
    return _first(state, status if isinstance(status, str) else "open")


def column_to_return_to(state: TeamState, task: Task) -> Column:
    """Where an archived task comes back: its column, or the first of that category when it is gone, or going.

    Raises Conflict("no-column").
    """
    column = state.columns.get(task.column_id)
    return column if column is not None and column.closing_into is None else _first(state, task.status)


def _first(state: TeamState, category: Status) -> Column:
    column = state.firsts.get(category)
    if column is None:
        raise Conflict("no-column", f"This team has no column of {category}.", pointer="/status")
    return column


def check_entry(state: TeamState, column: Column, pointer: str = "/status") -> None:
    """Raise Conflict where no task may enter the column: it is closing, or holds its limit and limits are enforced."""
    if column.closing_into is not None:
        raise Conflict("column-closing", f"The column {column.name} is being deleted.", pointer=pointer)
    enforced = state.team is not None and state.team.wip == "block"
    if enforced and column.wip_limit is not None and len(state.places_in(column.id)) >= column.wip_limit:
        detail = f"The column {column.name} holds its limit of {column.wip_limit} tasks."
        raise Conflict("wip-limit", detail, pointer=pointer)


def completed_at(task: Task, column: Column, now: datetime) -> datetime | None:
    """When the task was completed, once it stands in the column: moving between two of `done` is no news."""
    if column.category != "done":
        return None
    return task.completed_at if task.status == "done" else now


def overfilled(state: TeamState, event: AnyEvent) -> UUID | None:
    """The column that holds more than its limit since the event (which `state` has seen), where the team is warned."""
    if not isinstance(event, TaskEvent) or state.team is None or state.team.wip != "warn":
        return None
    if "column_id" not in event.previous and type(event) not in {TaskCreated, TaskRestored}:
        return None
    column = state.columns.get(event.task.column_id)
    if column is None or column.wip_limit is None or len(state.places_in(column.id)) <= column.wip_limit:
        return None
    return column.id


def column_without(state: TeamState, column_id: UUID, task: Task) -> list[Place]:
    """The column without `task`: a copy when the task stands in it, else the column itself (do not write on it)."""
    column = state.places_in(column_id)
    place = (task.rank, task.id)
    index = bisect_left(column, place)
    if index == len(column) or column[index] != place:
        return column
    return [*column[:index], *column[index + 1 :]]
