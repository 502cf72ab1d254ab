"""The task commands of `decide`: each function returns the event it causes, or None when nothing changes."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, structs

from core.commands import ArchiveTask, Asking, CreateTask, DeleteTask, MoveTask, RestoreTask, UpdateTask, Versions
from core.decide_recurrence import recurrence_after, repeat_before_archiving
from core.errors import Conflict, Contradiction, InvalidReference, NotFound, StaleVersion
from core.events import (
    AnyEvent,
    DeletedTask,
    TaskArchived,
    TaskCreated,
    TaskDeleted,
    TaskMoved,
    TaskRestored,
    TaskUpdated,
)
from core.placing import check_entry, column_to_return_to, column_without, completed_at, wanted_column
from core.preconditions import missed_version, on_board
from core.ranking import Place, bottom, index_of, insert_at
from core.task import Task, differences, in_utc, unique
from core.team import TeamState, evolve


def create_task(state: TeamState, command: CreateTask, asking: Asking) -> TaskCreated:
    """A new task with the team's next number, at the bottom of its column."""
    team = state.team
    if team is None:
        raise NotFound("team")
    fields, task_id, seq = command.fields, asking.new_id(), state.seq + 1
    _check_external(state, fields.external_source, fields.external_id)
    given: dict[str, Any] = {name: getattr(fields, name) for name in fields.__struct_fields__}
    _normalise(given)
    check_references(state, given)
    column = wanted_column(state, fields.status, fields.column_id)
    given |= {"status": column.category, "column_id": column.id}
    given["recurrence"] = recurrence_after(state, given, None, asking)
    check_entry(state, column, "/status" if fields.column_id is None else "/column_id")
    number = state.top_number + 1
    task = Task(
        id=task_id,
        team_id=team.id,
        number=number,
        key=f"{team.key}-{number}",
        rank=bottom(state.places_in(column.id)),
        created_by=asking.actor_id,
        created_at=asking.now,
        updated_at=asking.now,
        completed_at=asking.now if column.category == "done" else None,
        version=seq,
        **given,
    )
    return TaskCreated(team_id=team.id, seq=seq, actor_id=asking.actor_id, at=asking.now, task=task)


def update_task(state: TeamState, command: UpdateTask, asking: Asking) -> TaskUpdated | None:
    """A merge patch. Another column, or a status that its own is not of, puts the task at the bottom of that column."""
    given = command.patch.changes()
    task = board_task(state, command.task_id, command.if_match, given)
    _normalise(given)
    _check_due(task, given)
    column = None
    if "status" in given or "column_id" in given:
        column = wanted_column(state, given.get("status"), given.get("column_id"), task)
        given |= {"status": column.category, "column_id": column.id}
    if "recurrence" in given or (task.recurrence is not None and not given.keys().isdisjoint({"due_at", "due_on"})):
        given["recurrence"] = recurrence_after(state, given, task, asking)
    changed, previous = dict[str, Any](), dict[str, Any]()
    for name, value in given.items():
        if (old := getattr(task, name)) != value:
            changed[name], previous[name] = value, old
    if not changed:
        return None
    check_references(state, changed, before=task)
    check_circles(state, task.id, changed, asking)
    now, seq, place = asking.now, state.seq + 1, dict[str, Any]()
    if column is not None and "column_id" in changed:
        check_entry(state, column, "/column_id" if command.patch.column_id is not UNSET else "/status")
        place = {"rank": bottom(state.places_in(column.id)), "completed_at": completed_at(task, column, now)}
    after = structs.replace(task, **changed, **place, updated_at=now, version=seq)
    if place:
        previous |= differences(task, after, place)
    return TaskUpdated(team_id=task.team_id, seq=seq, actor_id=asking.actor_id, at=now, task=after, previous=previous)


def move_task(state: TeamState, command: MoveTask, asking: Asking) -> TaskMoved | None:
    """Into a column and between neighbours; None when the task stands there already."""
    wanted = {"status": command.status} if command.column_id is None else {"column_id": command.column_id}
    task = board_task(state, command.task_id, command.if_match, wanted)
    column = wanted_column(state, command.status, command.column_id, task)
    if column.id != task.column_id:
        check_entry(state, column, "/status" if command.column_id is None else "/column_id")
    places = column_without(state, column.id, task)
    index = _drop_index(state, places, column.id, command)
    if column.id == task.column_id and index == index_of(state.places_in(column.id), (task.rank, task.id)):
        return None
    rank, ranks = insert_at(places, index)
    changed: dict[str, Any] = {"rank": rank, "status": column.category, "column_id": column.id}
    changed["completed_at"] = completed_at(task, column, asking.now)
    after = structs.replace(task, **changed, updated_at=asking.now, version=state.seq + 1)
    return TaskMoved(
        team_id=task.team_id,
        seq=after.version,
        actor_id=asking.actor_id,
        at=asking.now,
        task=after,
        previous=differences(task, after),
        ranks=ranks,
    )


def _check_due(task: Task, given: Mapping[str, Any]) -> None:
    """A task is due once: whoever sets a date where there is an instant, or the other way round, takes that away."""
    if given.get("due_at", task.due_at) is not None and given.get("due_on", task.due_on) is not None:
        kept, set_ = ("due_on", "due_at") if given.get("due_at") is not None else ("due_at", "due_on")
        raise Contradiction(f"/{set_}", f"The task has {kept}: say null for that to set {set_}.")


def archive_task(state: TeamState, command: ArchiveTask, asking: Asking) -> list[AnyEvent]:
    """Off the board; archived tasks are kept, searchable and can be restored. A finished one passes its series on."""
    task = board_task(state, command.task_id, command.if_match, {})
    events = repeat_before_archiving(state, task, asking)
    for event in events:
        if isinstance(event, TaskUpdated):
            task = event.task
    after = structs.replace(task, archived_at=asking.now, updated_at=asking.now, version=state.seq + len(events) + 1)
    archived = TaskArchived(
        team_id=task.team_id,
        seq=after.version,
        actor_id=asking.actor_id,
        at=asking.now,
        task=after,
        previous=differences(task, after),
    )
    return [*events, archived]


def restore_task(state: TeamState, command: RestoreTask, asking: Asking) -> TaskRestored:
    """Back to the bottom of its column, without references to what is gone meanwhile."""
    task = state.task(command.task_id)
    if task.archived_at is None:
        raise Conflict("not-archived", "This task is not archived.")
    check_version(state, task, command.if_match, {})
    kept: dict[str, Any] = {
        "assignee_id": task.assignee_id if task.assignee_id in state.members else None,
        "label_ids": tuple(label_id for label_id in task.label_ids if label_id in state.labels),
        "parent_id": task.parent_id if task.parent_id is not None and task.parent_id in state.tasks else None,
        "blocked_by": tuple(blocker for blocker in task.blocked_by if blocker in state.tasks),
    }
    check_circles(state, task.id, kept, asking)
    column = column_to_return_to(state, task)
    check_entry(state, column)
    rank = bottom(state.places_in(column.id))
    kept["column_id"] = column.id
    after = structs.replace(task, **kept, rank=rank, archived_at=None, updated_at=asking.now, version=state.seq + 1)
    return TaskRestored(
        team_id=task.team_id,
        seq=after.version,
        actor_id=asking.actor_id,
        at=asking.now,
        task=after,
        previous=differences(task, after),
    )


def delete_task(state: TeamState, command: DeleteTask, asking: Asking) -> list[AnyEvent]:
    """For good. First every board task that refers to it lets go, one event each, so that nothing points at nothing."""
    task = state.task(command.task_id)
    check_version(state, task, command.if_match, {})
    draft, events = state.fork(), list[AnyEvent]()
    for other in _referrers(state, task.id):
        seq = draft.seq + 1
        after = structs.replace(
            other,
            parent_id=None if other.parent_id == task.id else other.parent_id,
            blocked_by=tuple(blocker for blocker in other.blocked_by if blocker != task.id),
            updated_at=asking.now,
            version=seq,
        )
        event = TaskUpdated(
            team_id=task.team_id,
            seq=seq,
            actor_id=asking.actor_id,
            at=asking.now,
            task=after,
            previous=differences(other, after),
        )
        evolve(draft, event)
        events.append(event)
    seq = draft.seq + 1
    gone = DeletedTask(id=task.id, team_id=task.team_id, number=task.number, key=task.key)
    events.append(TaskDeleted(team_id=task.team_id, seq=seq, actor_id=asking.actor_id, at=asking.now, task=gone))
    return events


def _referrers(state: TeamState, task_id: UUID) -> list[Task]:
    return [other for other in state.tasks.values() if other.parent_id == task_id or task_id in other.blocked_by]


def board_task(state: TeamState, task_id: UUID, if_match: Versions | None, yours: Mapping[str, Any]) -> Task:
    """The task as the client has seen it, and on the board. Raises NotFound, StaleVersion, Conflict("archived")."""
    task = state.task(task_id)
    check_version(state, task, if_match, yours)
    return on_board(task)


def check_version(state: TeamState, task: Task, if_match: Versions | None, yours: Mapping[str, Any]) -> None:
    """Raise StaleVersion, with what stands in the fields of `yours`, unless the client has seen the task as it is."""
    if (missed := missed_version(state, task.version, if_match)) is not None:
        epoch, version = missed
        theirs = {name: getattr(task, name) for name in yours}
        raise StaleVersion(task.id, version, task.version, yours, theirs, epoch=state.epoch, expected_epoch=epoch)


def _drop_index(state: TeamState, places: list[Place], column_id: UUID, command: MoveTask) -> int:
    """Where among `places` (which does not hold the task) the task is dropped."""
    if command.before_id is not None and command.after_id is not None:
        raise InvalidReference("/after_id", "Name a neighbour before or after, not both.")
    anchor_id = command.before_id or command.after_id
    if anchor_id is None:
        return len(places)
    pointer = "/before_id" if command.before_id else "/after_id"
    anchor = state.tasks.get(anchor_id)
    if anchor is None or anchor.column_id != column_id or anchor.id == command.task_id:
        raise InvalidReference(pointer, "The neighbour is not another task of that column.")
    index = index_of(places, (anchor.rank, anchor.id))
    return index if command.before_id else index + 1


def _normalise(given: dict[str, Any]) -> None:
    for name in ("label_ids", "blocked_by"):
        if name in given:
            given[name] = unique(given[name])
    if "due_at" in given:
        given["due_at"] = in_utc(given["due_at"])


def _check_external(state: TeamState, source: str | None, external_id: str | None) -> None:
    if source is None or external_id is None:
        return
    taken = state.external.get((source, external_id))
    if taken is not None:
        detail = "Another task of this team came from there already."
        raise Conflict("external-id-taken", detail, pointer="/external_id", task_id=taken)


_REFERENCES: Final = frozenset({"assignee_id", "label_ids", "blocked_by", "parent_id"})


def check_references(state: TeamState, fields: Mapping[str, Any], *, before: Task | None = None) -> None:
    """Every reference must point at something on this team's board; what was referenced before may stay."""
    if _REFERENCES.isdisjoint(fields):
        return
    assignee = fields.get("assignee_id")
    if assignee is not None and assignee not in state.members:
        raise InvalidReference("/assignee_id", "The assignee is not a member of this team.")
    _check_each(fields, "label_ids", state.labels, before, "No such label in this team.")
    _check_each(fields, "blocked_by", state.tasks, before, "No such task on this board.")
    parent = fields.get("parent_id")
    if parent is not None and parent not in state.tasks:
        raise InvalidReference("/parent_id", "No such task on this board.")


def _check_each(fields: Mapping[str, Any], name: str, known: Any, before: Task | None, detail: str) -> None:
    kept = getattr(before, name) if before is not None else ()
    for index, reference in enumerate(fields.get(name, ())):
        if reference not in known and reference not in kept:
            raise InvalidReference(f"/{name}/{index}", detail)


def check_circles(state: TeamState, task_id: UUID, fields: Mapping[str, Any], asking: Asking) -> None:
    """No task may be its own ancestor, or wait for itself. Links that the board has already are not looked at again.

    Raises Conflict("cycle"), and QuotaReached when too many links would have to be followed.
    """
    standing = state.tasks.get(task_id)
    _check_blockers(state, task_id, fields.get("blocked_by") or (), standing, asking)
    parent = fields.get("parent_id")
    if parent is None or (standing is not None and standing.parent_id == parent):
        return
    if asking.parents.closes(task_id, (parent,), lambda other: _parent_of(state, other)):
        raise Conflict("cycle", "A task cannot be its own ancestor.", pointer="/parent_id")


def _check_blockers(
    state: TeamState, task_id: UUID, blockers: Collection[UUID], standing: Task | None, asking: Asking
) -> None:
    old = standing.blocked_by if standing is not None else ()
    new = [blocker for blocker in blockers if blocker not in old]
    if new and asking.blockers.closes(task_id, new, lambda other: _blockers_of(state, other)):
        raise Conflict("cycle", "A task cannot wait for itself, even through others.", pointer="/blocked_by")


def _parent_of(state: TeamState, task_id: UUID) -> tuple[UUID, ...]:
    task = state.tasks.get(task_id)
    return () if task is None or task.parent_id is None else (task.parent_id,)


def _blockers_of(state: TeamState, task_id: UUID) -> tuple[UUID, ...]:
    task = state.tasks.get(task_id)
    return () if task is None else task.blocked_by
