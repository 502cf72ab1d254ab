"""Series of tasks: how one begins and changes with its task, and how it passes on to the next."""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any
from uuid import UUID

from msgspec import structs

from core.commands import Asking, RepeatTask
from core.errors import Conflict, Contradiction
from core.events import AnyEvent, TaskCreated, TaskUpdated
from core.placing import wanted_column
from core.ranking import bottom
from core.recurrence import Due, Recurrence, RecurrenceRule, at_times_of, begin, following, is_due
from core.task import Task
from core.team import TeamState, evolve
from core.windows import FINISHED

__all__ = ["recurrence_after", "repeat_before_archiving", "repeat_task"]


def recurrence_after(
    state: TeamState, given: Mapping[str, Any], before: Task | None, asking: Asking
) -> Recurrence | None:
    """The recurrence of a task that is made, or changed, with these fields.

    The same rule once more begins no new series, unless the task is due at another time with it. Raises Contradiction
    for a rule without a further date, and where a task that recurs would not be due any more; Conflict where the series
    has passed on, unless the task begins another one with a due date of its own.
    """
    due = Due(*(given.get(name, getattr(before, name, None)) for name in ("due_at", "due_on")))
    had = None if before is None else before.recurrence
    wanted: RecurrenceRule | None = given.get("recurrence")
    moved = before is not None and due != Due(before.due_at, before.due_on)
    if "recurrence" in given and (wanted is None or moved or not _is_same(had, wanted)):
        if had is not None and had.next_id is not None and (wanted is None or not moved):
            _check_over(state, had.next_id)
        return None if wanted is None else _begun(wanted, due, _zone(state, asking))
    if had is None or had.next_id is not None:
        return had
    if due == Due(None, None):
        raise Contradiction("/recurrence", "A task that recurs is due: say null for recurrence, too.")
    return at_times_of(had, due, _zone(state, asking))


def _check_over(state: TeamState, next_id: UUID) -> None:
    """Raise Conflict, naming the task that has the series now, unless the series has ended there.

    Where a task on the way is not on the board, that one is named: it says itself where the series went.
    """
    bearer = state.tasks.get(next_id)
    while bearer is not None and bearer.recurrence is not None and bearer.recurrence.next_id is not None:
        next_id = bearer.recurrence.next_id
        bearer = state.tasks.get(next_id)
    if bearer is not None and bearer.recurrence is None:
        return
    where = "another task" if bearer is None else bearer.key
    detail = f"The series has passed on to {where}: change it there, or begin another one with a new due date."
    raise Conflict("series-passed-on", detail, pointer="/recurrence", task_id=next_id)


def _is_same(had: Recurrence | None, wanted: RecurrenceRule) -> bool:
    return had is not None and (had.rule, had.when) == (wanted.rule, wanted.when)


def _begun(wanted: RecurrenceRule, due: Due, zone: tzinfo) -> Recurrence:
    try:
        return begin(wanted, due, zone)
    except ValueError as error:
        raise Contradiction("/recurrence", f"{error}.".capitalize()) from error


def repeat_task(state: TeamState, command: RepeatTask, asking: Asking) -> list[AnyEvent]:
    """The next task of the series, and the old one that passes it on; nothing where it is not time, or done already.

    A series at its end is taken off its last task; that of a task which is not on the board waits. The next task stands
    in the first open column, whatever its limit: what was planned is made.
    """
    task = state.tasks.get(command.task_id)
    if task is None or task.recurrence is None:
        return []
    zone = _zone(state, asking)
    due = Due(task.due_at, task.due_on)
    if not is_due(task.recurrence, due, is_finished(task), zone, max(asking.now, command.at)):
        return []
    return _passed_on(state, task, task.recurrence, zone, asking)


def repeat_before_archiving(state: TeamState, task: Task, asking: Asking) -> list[AnyEvent]:
    """The next task of the series of one that is finished and about to leave the board: it takes no series with it.

    That of an unfinished one is given up with it, until it is restored.
    """
    recurrence = task.recurrence
    if recurrence is None or recurrence.next_id is not None or not is_finished(task):
        return []
    return _passed_on(state, task, recurrence, _zone(state, asking), asking)


def is_finished(task: Task) -> bool:
    """Whether nothing is to be done any more."""
    return task.status in FINISHED


def _passed_on(state: TeamState, task: Task, recurrence: Recurrence, zone: tzinfo, asking: Asking) -> list[AnyEvent]:
    found = following(recurrence, zone, asking.now)
    if found is None:
        return [_with(task, None, state.seq + 1, asking)]
    draft = state.fork()
    created = _next_task(draft, task, *found, asking)
    evolve(draft, created)
    passed_on = structs.replace(recurrence, next_id=created.task.id)
    return [created, _with(task, passed_on, draft.seq + 1, asking)]


def _next_task(state: TeamState, task: Task, recurrence: Recurrence, due: Due, asking: Asking) -> TaskCreated:
    """What was planned of the old task: nothing that has happened to it, and nothing that is gone meanwhile."""
    column, seq, number = wanted_column(state, None, None), state.seq + 1, state.top_number + 1
    after = structs.replace(
        task,
        id=asking.new_id(),
        number=number,
        key=f"{task.key.rpartition('-')[0]}-{number}",
        status=column.category,
        column_id=column.id,
        rank=bottom(state.places_in(column.id)),
        assignee_id=task.assignee_id if task.assignee_id in state.members else None,
        label_ids=tuple(one for one in task.label_ids if one in state.labels),
        parent_id=task.parent_id if task.parent_id is not None and task.parent_id in state.tasks else None,
        blocked_by=(),
        external_id=None,
        external_source=None,
        comment_count=0,
        attachment_count=0,
        due_at=due.due_at,
        due_on=due.due_on,
        recurrence=recurrence,
        created_by=asking.actor_id,
        created_at=asking.now,
        updated_at=asking.now,
        completed_at=None,
        version=seq,
    )
    return TaskCreated(team_id=task.team_id, seq=seq, actor_id=asking.actor_id, at=asking.now, task=after)


def _with(task: Task, recurrence: Recurrence | None, seq: int, asking: Asking) -> TaskUpdated:
    after = structs.replace(task, recurrence=recurrence, updated_at=asking.now, version=seq)
    previous = {"recurrence": task.recurrence}
    return TaskUpdated(
        team_id=task.team_id, seq=seq, actor_id=asking.actor_id, at=asking.now, task=after, previous=previous
    )


def _zone(state: TeamState, asking: Asking) -> tzinfo:
    assert state.team is not None, "who asks is a member"
    return asking.zones(state.team.time_zone)
