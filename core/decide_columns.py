"""The commands of `decide` about columns.

Deleting one that holds tasks takes several steps where there are many, each a commit of its own:

    DeleteColumn: the column is closing (column.updated), the first tasks move (task.moved)
    CloseColumn:  more tasks move, again and again
                  the last ones move, the column is gone (column.deleted)

Whatever stops in between leaves a column with fewer tasks that is still closing, and that goes on with the next step.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET, structs

from core.columns import MOST_COLUMNS, MOVED_AT_ONCE, NEEDED, Column
from core.commands import Asking, CloseColumn, CreateColumn, DeleteColumn, MoveColumn, UpdateColumn
from core.errors import Conflict, InvalidReference, NotFound, QuotaReached
from core.events import AnyEvent, ColumnCreated, ColumnDeleted, ColumnMoved, ColumnUpdated, TaskMoved
from core.placing import completed_at
from core.ranking import between, bottom, insert_at
from core.task import differences
from core.team import TeamState
from core.text import fold_name

__all__ = ["change_columns"]

Command = CreateColumn | UpdateColumn | MoveColumn | DeleteColumn | CloseColumn
Events = list[AnyEvent]


def change_columns(state: TeamState, command: Command, asking: Asking) -> Events:
    """The events of a command about a column."""
    if isinstance(command, CreateColumn):
        return [_create(state, command, asking)]
    column = state.columns.get(command.column_id)
    if column is None:
        raise NotFound("column")
    if isinstance(command, UpdateColumn):
        return _update(state, column, command, asking)
    if isinstance(command, MoveColumn):
        return _move(state, column, command, asking)
    if isinstance(command, DeleteColumn):
        return _delete(state, column, command, asking)
    return [] if column.closing_into is None else _go_on(state, column, asking, state.seq + 1)


def _create(state: TeamState, command: CreateColumn, asking: Asking) -> ColumnCreated:
    _check_name(state, command.name, None)
    if len(state.columns) >= MOST_COLUMNS:
        raise QuotaReached("columns-per-team", MOST_COLUMNS, f"A team has at most {MOST_COLUMNS} columns.")
    column = Column(
        id=asking.new_id(),
        name=command.name,
        category=command.category,
        wip_limit=command.wip_limit,
        rank=bottom([(column.rank, column.id) for column in state.columns.values()]),
    )
    return ColumnCreated(column=column, **_stamp(state, asking))


def _update(state: TeamState, column: Column, command: UpdateColumn, asking: Asking) -> Events:
    wanted = {"name": command.name, "wip_limit": command.wip_limit}
    changed = {name: value for name, value in wanted.items() if value is not UNSET and getattr(column, name) != value}
    if not changed:
        return []
    if "name" in changed:
        _check_name(state, str(changed["name"]), column.id)
    previous = {name: getattr(column, name) for name in changed}
    after = structs.replace(column, **changed)
    return [ColumnUpdated(column=after, previous=previous, **_stamp(state, asking))]


def _check_name(state: TeamState, name: str, own: UUID | None) -> None:
    folded = fold_name(name)
    if any(fold_name(column.name) == folded and column.id != own for column in state.columns.values()):
        raise Conflict("name-taken", "Another column of this team has that name.", pointer="/name")


def _move(state: TeamState, column: Column, command: MoveColumn, asking: Asking) -> Events:
    others = [(one.rank, one.id) for one in state.columns.values() if one.id != column.id]
    index = _drop_index(state, [column_id for _, column_id in others], column, command)
    if list(state.columns).index(column.id) == index:
        return []
    rank, ranks = insert_at(others, index)
    after = structs.replace(column, rank=rank)
    return [ColumnMoved(column=after, previous={"rank": column.rank}, ranks=ranks, **_stamp(state, asking))]


def _drop_index(state: TeamState, others: Sequence[UUID], column: Column, command: MoveColumn) -> int:
    """Where among the others the column is dropped."""
    if command.before_id is not None and command.after_id is not None:
        raise InvalidReference("/after_id", "Name a neighbour before or after, not both.")
    anchor = command.before_id or command.after_id
    if anchor is None:
        return len(others)
    if anchor not in state.columns or anchor == column.id:
        pointer = "/before_id" if command.before_id else "/after_id"
        raise InvalidReference(pointer, "The neighbour is not another column of this team.")
    return others.index(anchor) + (command.before_id is None)


def _delete(state: TeamState, column: Column, command: DeleteColumn, asking: Asking) -> Events:
    if column.closing_into is not None:
        if command.move_to not in {None, column.closing_into}:
            raise Conflict("column-closing", "This column is being deleted, and its tasks go to another one.")
        return []
    _check_needed(state, column)
    if any(one.closing_into == column.id for one in state.columns.values()):
        raise Conflict("column-closing", "The tasks of another column, which is being deleted, are coming here.")
    target = None if command.move_to is None else _target(state, column, command.move_to)
    common = _stamp(state, asking)
    if not state.places_in(column.id):
        return [ColumnDeleted(column=column, **common)]
    if target is None:
        raise Conflict("column-not-empty", "There are tasks in this column: say with move_to where they go.")
    _check_room(state, column, target)
    closing = structs.replace(column, closing_into=target.id, closing_by=asking.actor_id)
    previous = {"closing_into": None, "closing_by": None}
    return [
        ColumnUpdated(column=closing, previous=previous, **common),
        *_go_on(state, closing, asking, state.seq + 2),
    ]


def _check_needed(state: TeamState, column: Column) -> None:
    others = (one.category for one in state.columns.values() if one.id != column.id and one.closing_into is None)
    if column.category in NEEDED and column.category not in set(others):
        raise Conflict("last-column", f"A team always has a column of {column.category}, and this is the last one.")


def _target(state: TeamState, column: Column, target_id: UUID) -> Column:
    target = state.columns.get(target_id)
    if target is None or target is column:
        raise InvalidReference("/move_to", "Tasks can only go to another column of this team.")
    if target.closing_into is not None:
        raise Conflict("column-closing", f"The column {target.name} is being deleted.", pointer="/move_to")
    return target


def _check_room(state: TeamState, column: Column, target: Column) -> None:
    """Limits are looked at once, before the first task moves: a column that is half empty has to be emptied."""
    together = len(state.places_in(column.id)) + len(state.places_in(target.id))
    if state.team is not None and state.team.wip == "block" and together > (target.wip_limit or together):
        detail = f"The column {target.name} has a limit of {target.wip_limit} tasks."
        raise Conflict("wip-limit", detail, pointer="/move_to")


def _go_on(state: TeamState, column: Column, asking: Asking, seq: int) -> Events:
    """The next tasks go to the bottom of the target, in their order; after the last one the column goes too."""
    assert column.closing_into is not None, "the column is closing"
    places, target = state.places_in(column.id), state.columns[column.closing_into]
    moved = _moved(state, [task_id for _, task_id in places[:MOVED_AT_ONCE]], target, asking, seq)
    if len(places) > MOVED_AT_ONCE:
        return moved
    return [*moved, ColumnDeleted(column=column, **{**_stamp(state, asking), "seq": seq + len(moved)})]


def _moved(state: TeamState, task_ids: Iterable[UUID], target: Column, asking: Asking, seq: int) -> Events:
    events, places = Events(), state.places_in(target.id)
    rank = places[-1][0] if places else None
    for number, task_id in enumerate(task_ids, seq):
        task = state.task(task_id)
        rank = between(rank, None)
        after = structs.replace(
            task,
            column_id=target.id,
            status=target.category,
            rank=rank,
            completed_at=completed_at(task, target, asking.now),
            updated_at=asking.now,
            version=number,
        )
        common = {**_stamp(state, asking), "seq": number}
        events.append(TaskMoved(task=after, previous=differences(task, after), **common))
    return events


def _stamp(state: TeamState, asking: Asking) -> dict[str, Any]:
    """What the team's next event begins with."""
    return {"team_id": _team_id(state), "seq": state.seq + 1, "actor_id": asking.actor_id, "at": asking.now}


def _team_id(state: TeamState) -> UUID:
    if state.team is None:
        raise NotFound("team")
    return state.team.id
