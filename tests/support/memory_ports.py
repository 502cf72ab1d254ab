"""In-memory ports. `MemoryJournal` passes the same contract suite as the journal in Postgres (tests/contracts)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.attached import Attached
from core.codec import Encoded, JournalRow, decode, encode
from core.comment import Comment
from core.errors import NotFound
from core.events import Attachment, TaskEvent, TeamRestored
from core.task import Task
from core.team import TeamState, evolve
from core.writes import (
    CommitOutcome,
    Committed,
    FenceBroken,
    JournalPosition,
    KeyRow,
    KeysTaken,
    RowChanges,
    TeamWrites,
)

NOBODY = UUID(int=0)
LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)


class MemoryJournal:
    """A journal in dictionaries. `before_commit` is called with the batches and may raise or wait."""

    def __init__(self) -> None:
        self.rows: dict[UUID, list[JournalRow]] = {}
        self.tasks: dict[UUID, dict[UUID, Task]] = {}
        self.said: dict[UUID, dict[UUID, Comment]] = {}
        """Comments by team and id."""
        self.files: dict[UUID, dict[UUID, Attachment]] = {}
        self.epochs: dict[UUID, int] = {}
        """Of the teams whose history was rewritten."""
        self.due: set[UUID] = set()
        """Teams that nobody writes before their next epoch."""
        self.keys: dict[tuple[UUID, str], KeyRow] = {}
        self.commits: list[list[TeamWrites]] = []
        self.locks: dict[UUID, asyncio.Lock] = {}
        self.before_commit: Callable[[Sequence[TeamWrites]], object] | None = None
        self.after_commit: Callable[[Sequence[TeamWrites]], object] | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.loads = self.reads = 0

    async def commit(self, batches: Sequence[TeamWrites]) -> Mapping[UUID, CommitOutcome]:
        if self.before_commit is not None:
            self.before_commit(batches)
        await asyncio.sleep(0)
        await self.gate.wait()
        outcomes = {writes.team_id: self._write(writes) for writes in batches}
        self.commits.append(list(batches))
        if self.after_commit is not None:
            self.after_commit(batches)
        return outcomes

    def _write(self, writes: TeamWrites) -> CommitOutcome:
        rows = self.rows.get(writes.team_id, [])
        hits = tuple(hit for key in writes.keys if (hit := self.keys.get((key.principal, key.key))) is not None)
        if hits:
            return KeysTaken(hits)
        rewritten = self.epochs.get(writes.team_id, 1) != writes.epoch
        if len(rows) != writes.expected_seq or rewritten or writes.team_id in self.due:
            return FenceBroken(len(rows), rewritten=rewritten)
        if writes.events:
            self.rows.setdefault(writes.team_id, []).extend(encoded.row for encoded in writes.events)
        tasks = self.tasks.setdefault(writes.team_id, {})
        changes = writes.rows.get("task", RowChanges())
        tasks.update({task.id: task for task in changes.kept})
        for task_id in changes.gone:
            tasks.pop(task_id, None)
        said = self.said.setdefault(writes.team_id, {})
        comments = writes.rows.get("comment", RowChanges())
        said.update({comment.id: comment for comment in comments.kept})
        for comment_id in [*comments.gone, *(one.id for one in said.values() if one.task_id in changes.gone)]:
            said.pop(comment_id, None)
        files, attached = self.files.setdefault(writes.team_id, {}), writes.rows.get("attachment", RowChanges())
        files.update({file.id: file for file in attached.kept})
        for file_id in [*attached.gone, *(one.id for one in files.values() if one.task_id in changes.gone)]:
            files.pop(file_id, None)
        self.keys.update({(key.principal, key.key): key for key in writes.keys})
        return Committed()

    @asynccontextmanager
    async def lock(self, team_id: UUID) -> AsyncIterator["MemoryLocked"]:
        if team_id not in self.rows:
            raise NotFound("team")
        async with self.locks.setdefault(team_id, asyncio.Lock()):
            yield MemoryLocked(self, team_id)

    async def load(self, team_id: UUID) -> TeamState | None:
        self.loads += 1
        if team_id not in self.rows:
            return None
        state = TeamState()
        for row in self.rows[team_id]:
            evolve(state, decode(row))
        state.epoch, state.digest = self.epochs.get(team_id, 1), self.rows[team_id][-1].digest
        return state.merge()

    async def position(self, team_ids: Sequence[UUID]) -> Mapping[UUID, JournalPosition]:
        return {
            team_id: JournalPosition(len(self.rows[team_id]), self.epochs.get(team_id, 1), team_id in self.due)
            for team_id in team_ids
            if team_id in self.rows
        }

    async def read(self, team_id: UUID, after: int, limit: int = 1000) -> Sequence[JournalRow]:
        self.reads += 1
        return self.rows.get(team_id, [])[after : after + limit]

    async def lose(self, team_id: UUID, position: JournalPosition) -> None:
        rows, epoch = self.rows[team_id], self.epochs.get(team_id, 1)
        if (epoch, len(rows)) < (position.epoch, position.seq) or team_id in self.due:
            self.due.discard(team_id)
            seq, epoch = len(rows) + 1, max(epoch, position.epoch) + 1
            event = TeamRestored(
                team_id=team_id,
                seq=seq,
                actor_id=UUID(int=0),
                at=datetime(2026, 1, 2, tzinfo=UTC),
                epoch=epoch,
                from_seq=seq,
            )
            self.epochs[team_id] = epoch
            rows.append(encode(event, salt=bytes(16), epoch=epoch).row)

    async def is_redacted_since(self, team_id: UUID, seq: int) -> bool:
        return any(row.type == "history.redacted" and row.seq > seq for row in self.rows.get(team_id, []))

    async def archived_tasks(self, team_id: UUID, task_ids: Sequence[UUID]) -> Sequence[Task]:
        tasks = self.tasks.get(team_id, {})
        return [tasks[task_id] for task_id in task_ids if task_id in tasks and tasks[task_id].archived_at is not None]

    async def comments(self, team_id: UUID, comment_ids: Sequence[UUID]) -> Sequence[Comment]:
        said = self.said.get(team_id, {})
        return [said[comment_id] for comment_id in comment_ids if comment_id in said]

    async def attachments(self, team_id: UUID, attachment_ids: Sequence[UUID]) -> Sequence[Attachment]:
        files = self.files.get(team_id, {})
        return [files[file_id] for file_id in attachment_ids if file_id in files]

    async def attached(self, team_id: UUID) -> Attached:
        files = self.files.get(team_id, {}).values()
        return Attached(len(files), sum(file.size for file in files))

    async def task_history(self, team_id: UUID, task_id: UUID, after: int) -> Sequence[JournalRow]:
        return [row for row in self.rows.get(team_id, [])[after:] if row.subject == task_id]

    async def last_changes(self, team_id: UUID, subjects: Sequence[UUID]) -> Mapping[UUID, int]:
        return {row.subject: row.seq for row in self.rows.get(team_id, []) if row.subject in subjects}

    async def last_change(self, team_id: UUID, task_id: UUID, user_id: UUID, types: Sequence[str]) -> int | None:
        rows = await self.task_history(team_id, task_id, 0)
        return max((row.seq for row in rows if row.actor_id == user_id and row.type in types), default=None)


class MemoryLocked:
    def __init__(self, journal: MemoryJournal, team_id: UUID) -> None:
        self._journal, self._team_id = journal, team_id

    async def read(self, after: int) -> Sequence[JournalRow]:
        return self._journal.rows[self._team_id][after:]

    async def commit(self, writes: TeamWrites) -> CommitOutcome:
        outcomes = await self._journal.commit([writes])
        return outcomes[writes.team_id]


class MemorySnapshots:
    def __init__(self) -> None:
        self.states: dict[UUID, TeamState] = {}

    async def get(self, team_id: UUID) -> TeamState | None:
        state = self.states.get(team_id)
        return None if state is None else state.detach()

    async def put(self, state: TeamState) -> None:
        assert state.team is not None
        self.states[state.team.id] = state


class RecordingFeed:
    def __init__(self) -> None:
        self.published: list[Encoded] = []

    def publish(self, team_id: UUID, events: Sequence[Encoded]) -> None:
        self.published.extend(events)


class ManualClock:
    """Time that moves only when a test says so; the wall clock ticks a microsecond per reading."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.wall = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self.wall += timedelta(microseconds=1)
        return self.wall

    def monotonic(self) -> float:
        return self.seconds


def task_events(rows: Sequence[JournalRow]) -> list[TaskEvent]:
    """The task events among journal rows."""
    return [event for row in rows if isinstance(event := decode(row), TaskEvent)]
