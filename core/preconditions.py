"""What must hold before anything about a task is changed: it is on the board, and is what the client has seen."""

from core.commands import Seen, Versions
from core.errors import Conflict
from core.task import Task
from core.team import TeamState

__all__ = ["missed_version", "on_board"]


def on_board(task: Task | None) -> Task:
    """The task. Raises Conflict("archived") for one that is not on the board; None is a task that nobody has loaded."""
    if task is None or task.archived_at is not None:
        raise Conflict("archived", "This task is archived; restore it first.")
    return task


def missed_version(state: TeamState, version: int, if_match: Versions | None) -> tuple[int, int] | None:
    """The newest (epoch, version) that `if_match` names, when the current version is none of them; None when it is.

    Without `if_match` nothing is missed.
    """
    if if_match is None or if_match == version:
        return None
    named = if_match if isinstance(if_match, tuple) else (if_match,)
    current = (state.epoch, version)
    seen = [(one.epoch, one.version) if isinstance(one, Seen) else (state.epoch, one) for one in named]
    return None if current in seen else max(seen, default=current)
