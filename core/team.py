"""The team aggregate: settings, members, labels and the board, and how events change it."""

from bisect import insort
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, assert_never
from uuid import UUID

from msgspec import structs

from core.attached import Attached
from core.columns import Category, Column, default_column_id, default_columns, first_columns, in_order
from core.comment import Comment
from core.ended import DELETED_TEAM, GONE_KEY
from core.errors import NotFound
from core.events import (
    AnyAttachmentEvent,
    AnyColumnEvent,
    AnyCommentEvent,
    AnyEvent,
    AnyTaskEvent,
    Attachment,
    AttachmentAdded,
    AttachmentDeleted,
    ColumnCreated,
    ColumnDeleted,
    ColumnMoved,
    ColumnUpdated,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    HistoryRedacted,
    Label,
    LabelCreated,
    LabelDeleted,
    LabelUpdated,
    Member,
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    MemberUpdated,
    TaskArchived,
    TaskCreated,
    TaskDeleted,
    TaskEvent,
    TaskMoved,
    TaskRestored,
    TaskUpdated,
    Team,
    TeamDeleted,
    TeamRestored,
    TeamUpdated,
)
from core.layered import Layered
from core.permissions import Role
from core.ranking import Place, index_of
from core.redaction import DELETED_USER
from core.task import ExternalKey, Task, external_key
from core.task_history import TaskHistory, Wanted

NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""Before any change."""

OFF_BOARD: Final = 1_024
"""Most last changes that a team remembers of what is not on its board; the journal knows them all."""
_NOBODY: Final[list[Place]] = []
"""The places of a column in which no task stands; never written."""


class TeamState:
    """A team at one `seq` of one `epoch` (which changes only when history is rewritten, by a restore).

    Fork it before changing it: a fork costs O(1), merging it back costs O(changes).

    `latest_at` is no earlier than the last change of anything on the board: the times of a team never go back.
    `archived` holds only the archived tasks that the running batch needs; of such a batch are `comments`, `attachments`
    and `attached` (how much there is of them; None: not looked up), and `histories`, the changes that it is to take
    back; `merge` forgets them. `off_board` remembers when something that is not on the board (a label, a task that left
    it, what is deleted) changed last: its `seq`, as far as that happened in memory or was looked up, 0 for what never
    was.
    `columns` are in their order, and are replaced as a whole (`with_columns`); `places` has the tasks of each from top
    to bottom.
    """

    __slots__ = (
        "_own_places",
        "_owns_external",
        "_owns_off_board",
        "archived",
        "attached",
        "attachments",
        "closing",
        "columns",
        "comments",
        "digest",
        "epoch",
        "external",
        "firsts",
        "histories",
        "labels",
        "latest_at",
        "limited",
        "members",
        "off_board",
        "places",
        "seq",
        "tasks",
        "team",
        "top_number",
    )

    def __init__(self) -> None:
        self.team: Team | None = None
        self.seq = 0
        self.latest_at = NEVER
        self.epoch = 1
        self.digest = b""
        """Of the journal row at `seq`: which history this state is of. Empty where there is none, or nobody knows."""
        self.top_number = 0
        self.members: Mapping[UUID, Member] = {}
        self.labels: Mapping[UUID, Label] = {}
        self.tasks: Layered[UUID, Task] = Layered()
        self.archived: dict[UUID, Task] = {}
        self.histories: Mapping[Wanted, TaskHistory] = {}
        self.comments: Mapping[UUID, Comment] = {}
        self.attachments: dict[UUID, Attachment] = {}
        self.attached: Attached | None = None
        self.external: Layered[ExternalKey, UUID] = Layered()
        self._owns_external = True
        self.off_board: dict[UUID, int] = {}
        self._owns_off_board = False
        self.columns: Mapping[UUID, Column] = {}
        self.firsts: Mapping[Category, Column] = {}
        """The first column of each category that tasks may enter."""
        self.closing: Column | None = None
        """The first column that is being deleted."""
        self.limited = False
        """Whether any column has a limit."""
        self.places: dict[UUID, list[Place]] = {}
        self._own_places: set[UUID] = set()

    def fork(self) -> "TeamState":
        """A working copy: change it freely, then `merge` it or drop it.

        What only few commands change is shared until its first write, because every batch of every team makes a fork.
        """
        other = TeamState.__new__(TeamState)
        other.team, other.seq, other.epoch, other.top_number = self.team, self.seq, self.epoch, self.top_number
        other.digest, other.members, other.labels = self.digest, self.members, self.labels
        other.latest_at, other.histories = self.latest_at, self.histories
        other.tasks, other.archived = self.tasks.fork(), self.archived.copy()
        other.comments = self.comments
        other.attachments, other.attached = self.attachments.copy(), self.attached
        other.columns, other.firsts = self.columns, self.firsts
        other.closing, other.limited = self.closing, self.limited
        other.external, other.places = self.external, self.places
        other._owns_external, other._own_places = False, set()  # noqa: SLF001 (a fork of the same class)
        other.off_board, other._owns_off_board = self.off_board, False  # noqa: SLF001
        return other

    def merge(self) -> "TeamState":
        """Make this working copy the state. The one that it was forked from must not be used any more."""
        self.tasks.merge()
        if self._owns_external:
            self.external.merge()
        self.archived, self.histories, self.comments = {}, {}, {}
        self.attachments, self.attached = {}, None
        if len(self.off_board) > OFF_BOARD:
            self.off_board = {}
        self._owns_off_board = False
        return self

    def detach(self) -> "TeamState":
        """An independent copy, O(n): a background writer may read it while the team goes on."""
        other = self.fork()
        other.tasks, other.external, other.archived = self.tasks.detach(), self.external.detach(), {}
        other.comments = {}
        other.attachments, other.attached = {}, None
        other._owns_external = True  # noqa: SLF001 (as above)
        other.places = {column_id: column.copy() for column_id, column in self.places.items()}
        return other

    def role_of(self, user_id: UUID) -> Role:
        """The member's role; raises NotFound("team") for everyone else, so that foreign teams look like random ids."""
        member = self.members.get(user_id)
        if member is None:
            raise NotFound("team")
        return member.role

    def task(self, task_id: UUID) -> Task:
        """The task on the board or among the loaded archived ones; raises NotFound."""
        task = self.tasks.get(task_id) or self.archived.get(task_id)
        if task is None:
            raise NotFound("task")
        return task

    @property
    def ended(self) -> bool:
        """Whether the team was deleted: a team that is there has an owner."""
        return self.team is not None and not self.members

    def end(self) -> None:
        """The team is gone, with all that there was in it. What history says afterwards still counts its numbers."""
        self.members, self.labels = {}, {}
        self.tasks, self.external, self._owns_external = Layered(), Layered(), True
        self.archived, self.comments, self.attachments = {}, {}, {}
        self.attached = None
        self.places, self._own_places = {}, set()
        self.with_columns(())

    def note_change(self, subject: UUID, seq: int) -> None:
        """Remember when something changed last that is not on the board."""
        if not self._owns_off_board:
            self.off_board, self._owns_off_board = self.off_board.copy(), True
        self.off_board[subject] = seq

    def with_columns(self, columns: Iterable[Column]) -> None:
        """The team has these columns from now on. Nobody changes the mapping: forks share it."""
        self.columns = in_order(columns)
        self.firsts = first_columns(self.columns)
        self.closing = next((column for column in self.columns.values() if column.closing_into is not None), None)
        self.limited = any(column.wip_limit is not None for column in self.columns.values())

    def places_in(self, column_id: UUID) -> list[Place]:
        """The places of a column from top to bottom; for reading only."""
        return self.places.get(column_id, _NOBODY)

    def ordered(self, column_id: UUID) -> list[Task]:
        """The column's tasks from top to bottom."""
        tasks = self.tasks
        return [task for _, task_id in self.places_in(column_id) if (task := tasks.get(task_id)) is not None]

    def put_on_board(self, task: Task) -> None:
        """Add or replace a board task, keeping columns and the external index in step."""
        before = self.tasks.put(task.id, task)
        if before is None or before.rank != task.rank or before.column_id != task.column_id:
            if before is not None:
                self._drop_place(before)
            insort(self._own_column(task.column_id), (task.rank, task.id))
        if before is None and (key := external_key(task)) is not None:
            self._own_external().put(key, task.id)

    def take_off_board(self, task: Task) -> None:
        """Remove a task from the board; its external id stays taken until the task is deleted."""
        before = self.tasks.get(task.id)
        if before is not None:
            self._drop_place(before)
            self.tasks.remove(task.id)

    def forget(self, task_id: UUID) -> None:
        """The task is deleted for good: its external id may be used again."""
        self.comments = {key: comment for key, comment in self.comments.items() if comment.task_id != task_id}
        task = self.tasks.get(task_id) or self.archived.pop(task_id, None)
        if task is not None:
            self.take_off_board(task)
            key = external_key(task)
        else:
            # An archived task that nobody has loaded here, and the event does not say where it came from: O(imported).
            key = next((key for key, found in self.external.as_dict().items() if found == task_id), None)
        if key is not None:
            self._own_external().remove(key)

    def _drop_place(self, task: Task) -> None:
        column = self._own_column(task.column_id)
        del column[index_of(column, (task.rank, task.id))]

    def drop_column(self, column_id: UUID) -> None:
        """The column is gone; no task stands in it."""
        self.with_columns(column for column in self.columns.values() if column.id != column_id)
        if column_id in self.places:
            self._own_column(column_id)
            del self.places[column_id]

    def _own_column(self, column_id: UUID) -> list[Place]:
        """The places of a column, copied on the first write after a fork."""
        if not self._own_places:
            self.places = self.places.copy()
        if column_id not in self._own_places:
            self.places[column_id] = self.places.get(column_id, _NOBODY).copy()
            self._own_places.add(column_id)
        return self.places[column_id]

    def _own_external(self) -> Layered[ExternalKey, UUID]:
        """The external index, forked on the first write after a fork of the state."""
        if not self._owns_external:
            self.external, self._owns_external = self.external.fork(), True
        return self.external


def evolve(state: TeamState, event: AnyEvent) -> TeamState:
    """Apply one event to `state` in place and return it. Raises ValueError for any `seq` but the next one."""
    if event.seq != state.seq + 1:
        raise ValueError(f"event {event.seq} does not follow seq {state.seq}")
    match event:
        case TaskUpdated() | TaskMoved() | TaskCreated() | TaskArchived() | TaskRestored():
            _evolve_task(state, event)
        case AttachmentAdded() | AttachmentDeleted():
            _evolve_attachment(state, event)
        case TaskDeleted(task=deleted):
            state.forget(deleted.id)
        case CommentAdded() | CommentEdited() | CommentDeleted():
            _evolve_comment(state, event)
        case MemberAdded(member=member) | MemberUpdated(member=member) | MemberRoleChanged(member=member):
            state.members = {**state.members, member.user_id: member}
        case MemberRemoved(member=member):
            state.members = _without(state.members, member.user_id)
        case LabelCreated(label=label) | LabelUpdated(label=label):
            state.labels = {**state.labels, label.id: label}
        case LabelDeleted(label=label):
            state.labels = _without(state.labels, label.id)
        case ColumnCreated() | ColumnUpdated() | ColumnMoved() | ColumnDeleted():
            _evolve_column(state, event)
        case TeamUpdated() | TeamDeleted():
            _evolve_team(state, event)
        case TeamRestored(epoch=epoch):
            state.epoch = epoch
        case HistoryRedacted(subjects=subjects):
            _forget_names(state, subjects)
        case _:
            assert_never(event)
    if not isinstance(event, TaskEvent) or event.task.id not in state.tasks:
        state.note_change(event.subject, event.seq)
    if event.at > state.latest_at:
        state.latest_at = event.at
    if state.histories:
        state.histories = {wanted: history.after(wanted, event) for wanted, history in state.histories.items()}
    state.seq = event.seq
    return state


def _evolve_task(state: TeamState, event: AnyTaskEvent) -> None:
    task = event.task
    match event:
        case TaskArchived():
            state.take_off_board(task)
            state.archived[task.id] = task
        case _:
            for neighbour_id, rank in event.ranks.items():
                neighbour = state.tasks.get(neighbour_id)
                if neighbour is not None:
                    state.put_on_board(structs.replace(neighbour, rank=rank, version=event.seq))
            state.archived.pop(task.id, None)
            state.put_on_board(task)
            if task.number > state.top_number:
                state.top_number = task.number


def _evolve_comment(state: TeamState, event: AnyCommentEvent) -> None:
    comment = event.comment
    state.put_on_board(event.task)
    rest = _without(state.comments, comment.id)
    state.comments = rest if event.gone else {**rest, comment.id: comment}


def _forget_names(state: TeamState, subjects: Collection[UUID]) -> None:
    if state.team is not None and state.team.id in subjects:
        state.team = structs.replace(state.team, name=DELETED_TEAM, key=GONE_KEY)
    for user_id in state.members.keys() & set(subjects):
        member = structs.replace(state.members[user_id], name=DELETED_USER)
        state.members = {**state.members, user_id: member}


def _evolve_attachment(state: TeamState, event: AnyAttachmentEvent) -> None:
    state.put_on_board(event.task)
    if event.gone:
        state.attachments.pop(event.attachment.id, None)
    else:
        state.attachments[event.attachment.id] = event.attachment
    state.attached = None if state.attached is None else state.attached.after(event)


def _evolve_column(state: TeamState, event: AnyColumnEvent) -> None:
    if isinstance(event, ColumnDeleted):
        state.drop_column(event.column.id)
        return
    columns = {**state.columns, event.column.id: event.column}
    for column_id, rank in event.ranks.items():
        if column_id in columns:
            columns[column_id] = structs.replace(columns[column_id], rank=rank)
    state.with_columns(columns.values())


def _evolve_team(state: TeamState, event: TeamUpdated | TeamDeleted) -> None:
    if isinstance(event, TeamDeleted):
        state.end()
        return
    if state.team is None:
        state.with_columns(default_columns(event.team.id).values())
    state.team = event.team
    if event.limits is not None:
        firsts = {default_column_id(event.team.id, category): limit for category, limit in event.limits.items()}
        state.with_columns(
            structs.replace(column, wip_limit=firsts.get(column.id)) for column in state.columns.values()
        )


def _without(mapping: Mapping[UUID, Any], key: UUID) -> dict[UUID, Any]:
    return {other: value for other, value in mapping.items() if other != key}
