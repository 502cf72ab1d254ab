"""How an operation goes from state to state: pure functions, so that every life of one can be played in memory.

    waiting → running → … → succeeded
                 ↓ a step before or at the pivot is given up
              compensating → … → failed

`stuck` stands for `running` or `compensating` once a step that has no other way out has failed often enough; it is left
by the next success.
"""

import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct, structs

from db.operations import Operation, StepState, StepStatus
from streams.operations.kinds import Kind, Refused, Step

__all__ = ["Task", "claimed", "failed", "given_up", "pause_after", "succeeded", "task_of"]

STUCK_ATTEMPTS: Final = 12
"""Attempts with no other way out, about half an hour of them, after which somebody should look at it."""
LONGEST_PAUSE: Final = 600.0
INTERNAL: Final = "Something went wrong on our side. What had been done so far was taken back."


class Task(Struct, frozen=True):
    """What is to be done next: this step, forwards or `back`."""

    index: int
    step: Step
    back: bool


def task_of(kind: Kind, operation: Operation) -> Task | None:
    """What is next; None for a step that this version of the program does not know."""
    states = operation.steps
    if operation.undoing:
        wanted = max(i for i, state in enumerate(states) if state.status in ("done", "failed", "undoing"))
    else:
        wanted = min(i for i, state in enumerate(states) if state.status in ("waiting", "running"))
    step = kind.step(states[wanted].name)
    return None if step is None else Task(wanted, step, operation.undoing)


def claimed(operation: Operation, task: Task) -> Operation:
    """On record before anything is done: from here on the step may have happened, and is taken back if need be."""
    stuck = operation.status == "stuck" or operation.attempts >= STUCK_ATTEMPTS
    return structs.replace(
        operation,
        status="stuck" if stuck else "compensating" if task.back else "running",
        steps=_with(operation, task, "undoing" if task.back else "running"),
        attempts=operation.attempts + 1,
    )


def succeeded(operation: Operation, task: Task, added: Mapping[str, Any] | None, now: datetime) -> Operation:
    """The step is done, or taken back; the last one ends the operation."""
    rest = dict(added or {})
    result = rest.pop("result", operation.result)
    after = structs.replace(
        operation,
        status="compensating" if task.back else "running",
        steps=_with(operation, task, "undone" if task.back else "done"),
        data={**operation.data, **rest},
        result=result,
        attempts=0,
    )
    if task.back:
        return _ended(after, "failed", now) if not _to_undo(after) else after
    after = structs.replace(after, progress=(task.index + 1) / len(after.steps))
    return _ended(after, "succeeded", now) if task.index + 1 == len(after.steps) else after


def failed(kind: Kind, operation: Operation, task: Task, error: Exception, now: datetime) -> Operation:
    """The attempt came to nothing: it is tried again, or what was done is taken back."""
    if not task.back and task.step.role != "retry":
        if isinstance(error, Refused):
            return given_up(operation, task, str(error)[:500] or INTERNAL, now)
        return given_up(operation, task, INTERNAL, now) if operation.attempts >= kind.attempts else operation
    return structs.replace(operation, status="stuck") if operation.attempts >= STUCK_ATTEMPTS else operation


def given_up(operation: Operation, task: Task, error: str, now: datetime) -> Operation:
    """Go back from here. What the step in hand may have done is taken back first; a pivot is done or not."""
    status: StepStatus = "failed" if task.step.role == "compensable" else "undone"
    after = structs.replace(
        operation,
        status="compensating",
        undoing=True,
        steps=_with(operation, task, status),
        error=error,
        result=None,
        attempts=0,
    )
    return after if _to_undo(after) else _ended(after, "failed", now)


def pause_after(attempts: int) -> float:
    """Seconds until the next attempt: 1, 2, 4, … up to ten minutes, give or take a fifth, so that many do not meet."""
    return min(LONGEST_PAUSE, 2.0 ** (attempts - 1)) * random.uniform(0.8, 1.2)  # noqa: S311 (spreads load)


def _to_undo(operation: Operation) -> bool:
    return any(state.status in ("done", "failed", "undoing") for state in operation.steps)


def _ended(operation: Operation, status: Any, now: datetime) -> Operation:
    return structs.replace(operation, status=status, ended_at=now)


def _with(operation: Operation, task: Task, status: StepStatus) -> tuple[StepState, ...]:
    states = operation.steps
    return (*states[: task.index], StepState(states[task.index].name, status), *states[task.index + 1 :])
