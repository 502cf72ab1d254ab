"""What the actors need from outside: `db` and `streams` satisfy it, `taskforge/wiring.py` introduces them.

Times are UTC datetimes, durations seconds, `seq` the team's event number.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from core.attached import Attached
from core.codec import Encoded, JournalRow
from core.columns import Column
from core.comment import Comment
from core.events import Attachment
from core.query import SortKey, TaskQuery
from core.task import Task
from core.team import TeamState
from core.writes import CommitOutcome, JournalPosition, TeamWrites

NewId = Callable[[], UUID]
"""Where new ids come from."""


class Journal(Protocol):
    """The durable side: commits batches behind their fences, and reads history."""

    async def commit(self, batches: Sequence[TeamWrites]) -> Mapping[UUID, CommitOutcome]:
        """Write all batches (at most one per team) in one transaction, one round trip; an outcome for each team.

        After a constraint error each team is tried behind a savepoint, so that only the guilty one gets Rejected. A
        team whose rows somebody else holds is Blocked, and the others go on without it.
        Raises StorageUnavailable when nothing was written, CommitUnknown when COMMIT may have happened.
        """
        ...

    def lock(self, team_id: UUID) -> AbstractAsyncContextManager["LockedTeam"]:
        """Hold the team's row FOR UPDATE in one transaction, so that a second lost fence is impossible.

        Raises StorageUnavailable (TeamLocked when somebody else holds it for long), and NotFound("team") when there is
        no such team.
        """
        ...

    async def load(self, team_id: UUID) -> TeamState | None:
        """The whole team from its tables at one consistent `seq`; None when there is no such team."""
        ...

    async def position(self, team_ids: Sequence[UUID]) -> Mapping[UUID, JournalPosition]:
        """The committed `seq` and epoch of each team that exists, and whether it waits for another one."""
        ...

    async def read(self, team_id: UUID, after: int, limit: int = 250) -> Sequence[JournalRow]:
        """Rows with `seq > after`, ordered and contiguous, at most `limit`."""
        ...

    async def lose(self, team_id: UUID, position: JournalPosition) -> None:
        """The team was seen at a position that the database no longer has: if so, a new epoch of it begins.

        So does one that was due already.
        """
        ...

    async def is_redacted_since(self, team_id: UUID, seq: int) -> bool:
        """Whether history was redacted after `seq`, so that what was made of it before may say what is forgotten."""
        ...

    async def archived_tasks(self, team_id: UUID, task_ids: Sequence[UUID]) -> Sequence[Task]:
        """Those of the tasks that exist and are archived."""
        ...

    async def comments(self, team_id: UUID, comment_ids: Sequence[UUID]) -> Sequence[Comment]:
        """Those of the comments that exist, as they were last committed."""
        ...

    async def attachments(self, team_id: UUID, attachment_ids: Sequence[UUID]) -> Sequence[Attachment]:
        """Those of the attachments that exist."""
        ...

    async def attached(self, team_id: UUID) -> Attached:
        """How much is attached to the team's tasks."""
        ...

    async def task_history(self, team_id: UUID, task_id: UUID, after: int) -> Sequence[JournalRow]:
        """The task's own rows with `seq > after`, oldest first (at most 500)."""
        ...

    async def last_changes(self, team_id: UUID, subjects: Sequence[UUID]) -> Mapping[UUID, int]:
        """The `seq` of the newest event about each of the subjects, of those that any event is about."""
        ...

    async def last_change(self, team_id: UUID, task_id: UUID, user_id: UUID, types: Sequence[str]) -> int | None:
        """The `seq` of the user's newest event of these types about the task; None when there is none."""
        ...


class LockedTeam(Protocol):
    """A team that no other process can write while this is held."""

    async def read(self, after: int) -> Sequence[JournalRow]:
        """All rows with `seq > after`, inside the lock's transaction: no others can follow them."""
        ...

    async def commit(self, writes: TeamWrites) -> CommitOutcome:
        """Write and commit, at most once per lock. Raises like `Journal.commit`."""
        ...


class Snapshots(Protocol):
    """L2: compact team states in Valkey. Losing them costs latency only; every failure is a miss."""

    async def get(self, team_id: UUID) -> TeamState | None:
        """The newest stored state, or None (absent, unreachable, corrupt or of another format)."""
        ...

    async def put(self, state: TeamState) -> None:
        """Store a committed state; keeps whichever has the higher `seq`; failures are logged, never raised."""
        ...


class Feed(Protocol):
    """Where committed events go: local subscribers and the other workers."""

    def publish(self, team_id: UUID, events: Sequence[Encoded]) -> None:
        """Called right after COMMIT, in `seq` order per team; must not block or raise."""
        ...


class ColumnTop(Struct, frozen=True, gc=False):
    """The first `tasks` of a column that has `count`; `last` is the place by rank of the last one where more follow."""

    column: Column
    count: int
    tasks: Sequence[bytes]
    last: SortKey | None


class Representation(Protocol):
    """How readers of one kind want tasks, lists and boards: the edge chooses it, a board keeps its bytes ready.

    The bytes depend on the arguments alone. A representation is itself the key of what is ready in it: one of each kind
    serves a whole process.
    """

    @property
    def reuses_events(self) -> bool:
        """Whether a task's bytes here are those within the data of an event about it."""
        ...

    def task(self, task: Task) -> bytes:
        """A task as it stands in lists, boards and alone."""
        ...

    def page(self, tasks: Sequence[bytes], query: TaskQuery, last: SortKey | None, epoch: int) -> bytes:
        """A list of tasks; `last` is the place of the last one where more follow, `epoch` the team's (0: of many)."""
        ...

    def board(self, seq: int, epoch: int, columns: Sequence[tuple[Column, Sequence[bytes]]]) -> bytes:
        """All columns of a board with their tasks from top to bottom; several of them may come as one, with commas."""
        ...

    def board_top(self, seq: int, epoch: int, columns: Sequence["ColumnTop"]) -> bytes:
        """All columns of a board, of each the first tasks."""
        ...


class Clock(Protocol):
    """Time from outside, so that tests own it."""

    def now(self) -> datetime:
        """UTC wall clock, for what people see."""
        ...

    def monotonic(self) -> float:
        """Seconds that only go forward, for deadlines and idleness."""
        ...
