"""What the hub needs of the journal and of the active teams: `db` and `actors` satisfy it."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from core.codec import Encoded, JournalRow
from core.permissions import Role
from core.writes import JournalPosition

__all__ = ["History", "Teams", "View"]


class History(Protocol):
    """What the hub reads of the journal."""

    async def position(self, team_ids: Sequence[UUID]) -> Mapping[UUID, JournalPosition]:
        """The committed `seq` and epoch of each team that exists."""
        ...

    async def read(self, team_id: UUID, after: int, limit: int = 1000) -> Sequence[JournalRow]:
        """Rows with `seq > after`, ordered and contiguous, at most `limit`."""
        ...

    async def lose(self, team_id: UUID, position: JournalPosition) -> None:
        """The team was seen at a position that the database no longer has: if so, a new epoch of it begins."""
        ...


class View(Protocol):
    """A team's committed state, as far as feeds care."""

    @property
    def seq(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    def role_of(self, user_id: UUID) -> Role: ...


class Teams(Protocol):
    """The active teams of this process."""

    async def view(self, team_id: UUID, *, min_seq: int = 0, epoch: int | None = None) -> View: ...
    def absorb(self, team_id: UUID, events: Sequence[Encoded]) -> None: ...
    def catch_up_to(self, team_id: UUID, seq: int) -> None: ...
    def compare(self, team_id: UUID, seen: int, now: JournalPosition) -> None: ...
    def active(self) -> Sequence[tuple[UUID, int]]: ...
    def seq_of(self, team_id: UUID) -> int | None: ...
