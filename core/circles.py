"""Whether a new link between tasks would close a circle, found out with a bounded number of steps for a command."""

from collections.abc import Callable, Collection, Iterable
from typing import Final
from uuid import UUID

from core.errors import QuotaReached

__all__ = ["LINKS", "Circles", "Links"]

LINKS: Final = 30_000
"""Links that one command, a batch with all of its operations, may follow: some 10 ms of the event loop."""

Links = Callable[[UUID], Collection[UUID]]
"""What a task leads to in one step; nothing for a task that is not on the board."""


class Circles:
    """What one command has found out about one kind of link: each task is walked over once for all of its operations.

    `_known` is closed: whatever a task in it leads to is in it as well. It stays so while the command adds links,
    because every new one is looked at here first; links that are taken away only make it larger than it need be.
    """

    __slots__ = ("_known", "_left", "_pointer")

    def __init__(self, pointer: str, links: int = LINKS) -> None:
        """`pointer` names the field whose links these are, for refusals."""
        self._pointer, self._left = pointer, links
        self._known: set[UUID] = set()

    def closes(self, goal: UUID, start: Iterable[UUID], links: Links) -> bool:
        """Whether new links from `goal` to each of `start` would close a circle.

        Raises QuotaReached when that takes more links than one command may follow.
        """
        if goal not in self._known:
            return self._reaches(goal, start, links, self._known)
        seen = set[UUID]()
        if self._reaches(goal, start, links, seen):
            return True
        self._known |= seen
        return False

    def _reaches(self, goal: UUID, start: Iterable[UUID], links: Links, seen: set[UUID]) -> bool:
        """Walk over what `seen` does not hold yet, and add it; False when that does not lead to `goal`."""
        waiting = [task_id for task_id in start if task_id not in seen]
        while waiting:
            task_id = waiting.pop()
            if task_id in seen:
                continue
            if task_id == goal:
                return True
            seen.add(task_id)
            further = links(task_id)
            self._spend(len(further))
            waiting.extend(other for other in further if other not in seen)
        return False

    def _spend(self, links: int) -> None:
        self._left -= links
        if self._left < 0:
            detail = (
                f"To see that this closes no circle, more than {LINKS} links between tasks would have to be followed."
            )
            refusal = QuotaReached("links-per-command", LINKS, detail)
            refusal.pointer = self._pointer
            raise refusal
