"""A batch of commands decided on a fork of the state: pure bookkeeping between a mailbox and the journal."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from actors.envelope import CommandResult, Envelope, Item, KeySlot
from actors.explaining import Explained
from actors.ports import NewId
from core.codec import Encoded, encode
from core.commands import (
    AddAttachment,
    AddComment,
    AddMember,
    AnyCommand,
    ArchiveTask,
    Asking,
    Batch,
    ChangeRole,
    CloseColumn,
    CreateColumn,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteAttachment,
    DeleteColumn,
    DeleteComment,
    DeleteLabel,
    DeleteTask,
    DeleteTeam,
    EditComment,
    MoveColumn,
    MoveTask,
    RedactHistory,
    RemoveMember,
    RenameMember,
    RepeatTask,
    RestoreTask,
    UndoTask,
    UpdateColumn,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
    Zones,
    only_utc,
)
from core.comment import Comment
from core.decide import decide
from core.errors import Contradiction, DomainError, Forbidden, NotFound, StaleRead, StaleVersion
from core.events import AnyEvent, CommentEvent, TaskCreated, TaskDeleted, TaskEvent
from core.placing import overfilled
from core.quotas import Quotas
from core.task import Task
from core.task_history import is_of_series
from core.team import TeamState, evolve
from core.writes import KeyRow, RowChanges, TeamWrites, rows_of_events

__all__ = ["PreparedBatch", "fresh_salts", "note_changed"]

SALT_BYTES: Final = 16
MORE_SALTS: Final = 64
"""A batch of so many commands has as many events, unless some command causes more."""


STORED: Final = frozenset({"task", "comment", "attachment", "attached"})
"""What a refusal calls things that may be in the database without being in memory."""


class PreparedBatch:
    """What becomes of a batch: the state after it, the writes for the journal, and an answer for each envelope.

    `state` is a fork of `base`, which may itself be the fork of a batch in flight. Nothing here is true before the
    writes are durable: until then the batch can be dropped, and its envelopes can be prepared anew on another base.
    """

    __slots__ = (
        "_keyed",
        "answers",
        "base",
        "batch",
        "beside_tasks",
        "changed",
        "events",
        "needs_slow_path",
        "stale",
        "state",
        "task_missing",
        "team_id",
    )

    def __init__(self, team_id: UUID, base: TeamState) -> None:
        self.team_id = team_id
        self.base = base
        self.state = base.fork()
        self.events: list[Encoded] = []
        self.batch: list[Envelope] = []
        self.answers: list[CommandResult | DomainError] = []
        """One for each envelope of the batch, in order; the last ones are missing when deciding them met a bug."""
        self.needs_slow_path = False
        """Whether something has to be awaited before the batch can be committed or answered."""
        self.stale: list[Explained] = []
        """Refusals to be explained from the journal before they are sent."""
        self.task_missing = False
        """A task was not found, or something else that stays in the database. Unless what commands need has been
        loaded, that is not the last word."""
        self.changed: dict[UUID, bytes | None] = {}
        """Every task that the events touch, with its JSON where that came with its last event."""
        self.beside_tasks = False
        """Whether any event is about something else."""
        self._keyed: list[tuple[KeySlot, CommandResult | DomainError]] = []

    @property
    def empty(self) -> bool:
        """Whether there is nothing to make durable."""
        return not self.events and not self._keyed

    def add(
        self, batch: Sequence[Envelope], now: datetime, new_id: NewId, quotas: Quotas, zones: Zones = only_utc
    ) -> None:
        """Decide envelopes on the fork, in order; a refusal leaves the fork as it was.

        An answer is kept for replays if the team's rules gave it. A refusal because of who the caller is may change
        with the next role, so it is found out anew every time.
        """
        self.batch += batch
        # Clocks of processes differ. Whoever asks for what was updated after a time must not miss what came later.
        now = max(now, self.state.latest_at)
        salts = fresh_salts(len(batch))
        for envelope in batch:
            answer: CommandResult | DomainError
            try:
                answer = self._apply(envelope, Asking(envelope.ask.principal, now, new_id, quotas, zones), salts)
            except DomainError as refusal:
                answer = refusal
                self._note_refusal(refusal)
            self.answers.append(answer)
            if (slot := envelope.key) is not None and not _is_found_out_anew(answer):
                self._keyed.append((slot, answer))

    def _note_refusal(self, refusal: DomainError) -> None:
        if isinstance(refusal, StaleVersion | StaleRead):
            self.stale.append(refusal)
        elif isinstance(refusal, NotFound) and refusal.what in STORED:
            self.task_missing = True

    def _apply(self, envelope: Envelope, asking: Asking, salts: Iterator[bytes]) -> CommandResult:
        state, ask, encoded, overfull = self.state, envelope.ask, list[Encoded](), dict[UUID, None]()
        for event in decide(state, envelope.command, asking):
            evolve(state, event)
            one = encode(
                event,
                ask.traceparent,
                salt=next(salts),
                epoch=state.epoch,
                actor_kind=ask.principal.kind,
                via=ask.principal.key_id,
            )
            encoded.append(one)
            note_changed(self.changed, event, one.task)
            if state.limited and (column_id := overfilled(state, event)) is not None:
                overfull[column_id] = None
            if event.noun != "task":
                self.beside_tasks = True
        if encoded:
            state.digest = encoded[-1].row.digest
        self.events += encoded
        items = self._items(envelope.command, encoded)
        return CommandResult(
            state.seq,
            tuple(encoded),
            items,
            epoch=state.epoch,
            comment=self._comment(envelope.command, encoded),
            overfull=tuple(overfull),
            columns=state.columns,
        )

    def _comment(self, command: AnyCommand, events: Sequence[Encoded]) -> Comment | None:
        """The comment of the command's event, or the one that an edit has left as it was."""
        if events and isinstance(event := events[0].event, CommentEvent):
            return event.comment
        return self.state.comments.get(command.comment_id) if isinstance(command, EditComment) else None

    def _items(self, command: AnyCommand, events: Sequence[Encoded]) -> tuple[Item, ...]:
        if len(events) == 1 and isinstance(only := events[0].event, TaskEvent) and not isinstance(command, Batch):
            return (Item(only.task, events[0].task),)
        own: dict[UUID, Item] = {}
        for encoded in events:
            if isinstance(event := encoded.event, TaskEvent):
                own[event.task.id] = Item(event.task, encoded.task)
        return tuple(self._item(task_id, own.get(task_id)) for task_id in _affected(command, events))

    def _item(self, task_id: UUID, of_event: Item | None) -> Item:
        """The task as it is now: the one of its own event, unless a later event changed its rank or nothing changed."""
        task = self.state.tasks.get(task_id) or self.state.archived.get(task_id)
        if of_event is not None and (task is None or task.version == of_event.task.version):
            return of_event
        assert task is not None, "an affected task without an event is still there"
        return Item(task, None)

    def writes(self) -> TeamWrites:
        """The batch for the journal: each changed task once, as it is after the batch."""
        board, archived = self.state.tasks, self.state.archived
        tasks, deleted = list[Task](), list[UUID]()
        for task_id in self.changed:
            task = board.get(task_id) or archived.get(task_id)
            if task is None:
                deleted.append(task_id)
            else:
                tasks.append(task)
        rows = rows_of_events(self.events, self.state.columns) if self.beside_tasks else {}
        if self.changed:
            rows["task"] = RowChanges(tuple(tasks), tuple(deleted))
        keys = [KeyRow(slot.principal, slot.key, slot.fingerprint, slot.render(answer)) for slot, answer in self._keyed]
        return TeamWrites(self.team_id, self.base.epoch, self.base.seq, tuple(self.events), rows, tuple(keys))

    def answer(self) -> None:
        """Send every envelope its answer. Only once they are true: the writes are durable, or there are none."""
        for envelope, answer in zip(self.batch, self.answers, strict=True):
            if isinstance(answer, DomainError):
                envelope.fail(answer)
            else:
                envelope.resolve(answer)


def fresh_salts(expected: int) -> Iterator[bytes]:
    """Salts without end, drawn many at once: asking the system costs as much as encoding a small event."""
    while True:
        block = os.urandom(SALT_BYTES * expected)
        yield from [block[start : start + SALT_BYTES] for start in range(0, len(block), SALT_BYTES)]
        expected = MORE_SALTS


def note_changed(changed: dict[UUID, bytes | None], event: AnyEvent, task: bytes | None) -> None:
    """Add the tasks that an event touches; `task` is the JSON of its own one, if it is at hand."""
    if isinstance(event, TaskEvent):
        changed[event.task.id] = task
        if event.ranks:
            changed.update(dict.fromkeys(event.ranks))
    elif isinstance(event, TaskDeleted):
        changed[event.task.id] = None


def _is_found_out_anew(answer: CommandResult | DomainError) -> bool:
    """Whether a caller was refused for who they are, as strangers are and members whose role is too low, or for a
    request that says what cannot be."""
    refused = isinstance(answer, Forbidden | Contradiction)
    return refused or (isinstance(answer, NotFound) and answer.what == "team")


def _affected(command: AnyCommand, events: Sequence[Encoded]) -> list[UUID]:
    """The task of each operation, in order; a command on no task, or one that ends it, affects none."""
    made = [encoded.event for encoded in events if isinstance(encoded.event, TaskCreated)]
    created = iter([event.task.id for event in made if not is_of_series(event)])
    operations = command.operations if isinstance(command, Batch) else (command,)
    affected: list[UUID] = []
    for operation in operations:
        match operation:
            case CreateTask():
                affected.append(next(created))
            case UpdateTask() | MoveTask() | ArchiveTask() | RestoreTask() | UndoTask():
                affected.append(operation.task_id)
            case DeleteTask() | RedactHistory() | RepeatTask() | AddComment() | EditComment() | DeleteComment():
                pass
            case AddAttachment() | DeleteAttachment():
                pass
            case (
                CreateTeam()
                | UpdateTeam()
                | DeleteTeam()
                | AddMember()
                | ChangeRole()
                | RenameMember()
                | RemoveMember()
            ):
                pass
            case CreateLabel() | UpdateLabel() | DeleteLabel():
                pass
            case CreateColumn() | UpdateColumn() | MoveColumn() | DeleteColumn() | CloseColumn():
                pass
            case _:
                assert_never(operation)
    return affected
