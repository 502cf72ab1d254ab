"""What a board has in all: characters of text, and tasks with comments. Counted on demand, from what changed since."""

from operator import attrgetter
from typing import Final
from uuid import UUID

from core.task import Task
from core.team import TeamState

__all__ = ["Counts"]

_TITLE, _DESCRIPTION, _COMMENTS = attrgetter("title"), attrgetter("description"), attrgetter("comment_count")


class Counts:
    """Of one board; costs O(tasks that changed since it was last asked)."""

    __slots__ = ("_characters", "_commented", "_uncounted")

    def __init__(self, state: TeamState) -> None:
        tasks: Final = list(state.tasks.values())
        self._characters = sum(map(len, map(_TITLE, tasks))) + sum(map(len, map(_DESCRIPTION, tasks)))
        self._commented = sum(map(bool, map(_COMMENTS, tasks)))
        self._uncounted: dict[UUID, Task | None] = {}
        """The tasks that changed since, as they were then."""

    def changes(self, task_id: UUID, before: Task | None) -> None:
        """The task is about to be another one, or gone; None says that it was not on the board."""
        if task_id not in self._uncounted:
            self._uncounted[task_id] = before

    def characters(self, state: TeamState) -> int:
        """Of all titles and descriptions."""
        self._settle(state)
        return self._characters

    def commented(self, state: TeamState) -> int:
        """How many tasks have comments."""
        self._settle(state)
        return self._commented

    def _settle(self, state: TeamState) -> None:
        for task_id, before in self._uncounted.items():
            for sign, task in ((1, state.tasks.get(task_id)), (-1, before)):
                if task is not None:
                    self._characters += sign * (len(task.title) + len(task.description))
                    self._commented += sign * bool(task.comment_count)
        self._uncounted.clear()
