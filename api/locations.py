"""Where tasks live, as far as this process has seen: bounded memory, never authority."""

from typing import Final
from uuid import UUID

from db.ids import uuid_of

__all__ = ["Locations"]

KEPT: Final = 100_000
"""Most task locations remembered per process, in two generations: some 20 MB."""
NAMES: Final = 10_000


class Locations:
    """Task id to team id, and team ids as they stand in headers. A task never moves to another team."""

    __slots__ = ("_hints", "_names", "_old", "_young")

    def __init__(self) -> None:
        self._young: dict[UUID, UUID] = {}
        self._old: dict[UUID, UUID] = {}
        self._hints: dict[bytes, UUID] = {}
        self._names: dict[UUID, bytes] = {}

    def remember(self, task_id: UUID, team_id: UUID) -> None:
        """Note where a task lives."""
        if len(self._young) >= KEPT // 2:
            self._old, self._young = self._young, {}
        self._young[task_id] = team_id

    def recall(self, task_id: UUID) -> UUID | None:
        """The task's team, if it was seen lately."""
        return self._young.get(task_id) or self._old.get(task_id)

    def name(self, team_id: UUID) -> bytes:
        """The id as it stands in headers."""
        name = self._names.get(team_id)
        if name is None:
            if len(self._names) >= NAMES:
                self._names.clear()
            name = self._names[team_id] = str(team_id).encode()
        return name

    def hinted(self, hint: bytes) -> UUID | None:
        """The team of a `TaskForge-Team` header; nonsense is no hint."""
        team_id = self._hints.get(hint)
        if team_id is None and len(hint) == 36:
            try:
                team_id = uuid_of(hint.decode("ascii"))
            except ValueError:
                return None
            if len(self._hints) >= NAMES:
                self._hints.clear()
            self._hints[hint] = team_id
        return team_id
