"""What goes in and out as JSON beyond the domain's own types. Input Structs are closed: unknown fields are refused."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from api.rest_v1 import BoardColumn, Label, Member, Task
from api.rest_v1 import Column as ListedColumn
from core import commands
from core.columns import Category, WipPolicy
from core.commands import (
    BATCH_LIMIT,
    READS_LIMIT,
    Basis,
    Color,
    ColumnName,
    LabelName,
    Limit,
    TeamKey,
    TeamName,
    TimeZone,
    clean_column_name,
    clean_label_name,
    clean_team_name,
)
from core.errors import BadInput
from core.events import Team
from core.field_error import FieldError
from core.permissions import Permission, Role
from core.seq import MAX_SEQ, POSITION, Position, read_position
from core.task import Status, TaskFields, TaskPatch, tidy
from db.team_seen import Seen

__all__ = [
    "BatchAnswer",
    "BatchRequest",
    "Board",
    "Column",
    "ColumnMove",
    "ColumnPage",
    "ColumnPatch",
    "LabelPage",
    "LabelPatch",
    "ListedMember",
    "MemberPage",
    "MemberPatch",
    "MoveRequest",
    "NewColumn",
    "NewLabel",
    "NewTask",
    "NewTeam",
    "TaskPage",
    "TeamAnswer",
    "TeamPage",
    "TeamPatch",
    "seen",
]

Cursor = Annotated[str, Meta(description="Opaque; give it back as `cursor` for the next page.")]


class NewTask(TaskFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task to create in a team."""

    team_id: UUID

    def fields(self) -> TaskFields:
        """The same without the team."""
        return TaskFields(**{name: getattr(self, name) for name in TaskFields.__struct_fields__})


class MoveRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to: a column, or the first one of a status (default: its own column), right before or right after a task of
    it; with neither, its bottom."""

    status: Status | None = None
    column_id: UUID | None = None
    before_id: UUID | None = None
    after_id: UUID | None = None


Version = (
    Annotated[int, Meta(ge=1, le=MAX_SEQ, description="As If-Match: the version you saw, of the team's epoch.")]
    | Annotated[str, Meta(pattern="^[0-9]{1,18}[.][0-9]{1,18}$", description="With the epoch: `<epoch>.<version>`.")]
)


def seen(version: Version | None) -> commands.Version | None:
    """The version in a request as commands have it."""
    if not isinstance(version, str):
        return version
    epoch, _, number = version.partition(".")
    return commands.Seen(int(number), int(epoch))


class CreateOperation(TaskFields, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag="create"):
    """Create a task."""


class UpdateOperation(TaskPatch, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag="update"):
    """Change fields of a task."""

    id: UUID
    if_match: Version | None = None

    def patch(self) -> TaskPatch:
        """The changes alone."""
        return TaskPatch(**{name: getattr(self, name) for name in TaskPatch.__struct_fields__})


class MoveOperation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag="move"):
    """Move a task."""

    id: UUID
    status: Status | None = None
    column_id: UUID | None = None
    before_id: UUID | None = None
    after_id: UUID | None = None
    if_match: Version | None = None


class ArchiveOperation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag="archive"):
    """Take a task off the board."""

    id: UUID
    if_match: Version | None = None


class RestoreOperation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag="restore"):
    """Put an archived task back onto the board."""

    id: UUID
    if_match: Version | None = None


BatchOperation = CreateOperation | UpdateOperation | MoveOperation | ArchiveOperation | RestoreOperation


UUID_PATTERN: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
Place = (
    Annotated[int, Meta(ge=0, le=MAX_SEQ, description="`TaskForge-Seq` of what you read, of the team's epoch.")]
    | Annotated[str, Meta(pattern=f"^{POSITION}$", description="With the epoch: `<epoch>:<seq>`.")]
)
WHOLE_TEAM: Final = "*"
Read = Annotated[
    str,
    Meta(
        pattern=rf"^(\*|{UUID_PATTERN})$",
        description="The id of a task, a column or a label; `*` for everything, and for what was not there.",
    ),
]


class BatchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 100 operations on one team, all or nothing; each sees the ones before it.

    With `if_seq` they are made only if nothing that they operate on, and nothing among `reads`, has changed since.
    """

    team_id: UUID
    operations: Annotated[tuple[BatchOperation, ...], Meta(min_length=1, max_length=BATCH_LIMIT)]
    if_seq: Place | UnsetType = UNSET
    reads: Annotated[tuple[Read, ...], Meta(max_length=READS_LIMIT)] = ()

    def __post_init__(self) -> None:
        if self.reads and self.if_seq is UNSET:
            raise FieldError("reads", "reads need the if_seq at which they were made")

    @property
    def place(self) -> Position | None:
        """Where the team was for whoever asks; None for a batch that rests on nothing. Raises BadInput."""
        if self.if_seq is UNSET:
            return None
        try:
            return read_position(str(self.if_seq), "if_seq")
        except BadInput as error:
            raise BadInput(error.detail, pointer="/if_seq") from None

    def basis(self, place: Position, epoch: int) -> Basis:
        """The same as commands have it, in the team's epoch where none was named."""
        reads = tuple(UUID(read) for read in dict.fromkeys(self.reads) if read != WHOLE_TEAM)
        return Basis(place.seq, epoch if place.epoch is None else place.epoch, reads, WHOLE_TEAM in self.reads)


class BatchAnswer(Struct, frozen=True):
    """The events have the numbers `seq_from` to `seq_to`; when nothing changed, `seq_from` is `seq_to` + 1.

    `items` has the task of each operation, as it is after the whole batch.
    """

    seq_from: int
    seq_to: int
    items: tuple[Task, ...]


class TaskPage(Struct, frozen=True):
    """Tasks, and where the next page starts."""

    items: tuple[Task, ...]
    next_cursor: Cursor | None


class Column(BoardColumn, frozen=True, kw_only=True):
    """A column and its tasks, from top to bottom.

    With `per_column` also how many there are, and the `cursor` with which `GET /v1/tasks?team_id=…&column=…&sort=rank`
    goes on after the last one that is shown; null when all are.
    """

    count: int | UnsetType = UNSET
    tasks: tuple[Task, ...]
    next_cursor: Cursor | UnsetType | None = UNSET


class Board(Struct, frozen=True):
    """The whole board at one `seq`. Follow it from there by the team's events."""

    seq: int
    epoch: int
    columns: tuple[Column, ...]


class NewTeam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team to create; the caller becomes its owner. Without a `time_zone` it gets the caller's."""

    name: TeamName
    key: TeamKey
    time_zone: TimeZone | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy(self, name=clean_team_name)


class TeamPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch of a team's settings. `wip`: limits of columns are ignored, warned of in answers, or enforced."""

    name: TeamName | UnsetType = UNSET
    wip: WipPolicy | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy(self, name=clean_team_name)


class TeamAnswer(Struct, frozen=True, kw_only=True):
    """A team as one of its members sees it.

    Reads have `seen_seq`, how far the member has looked, and `unread`, how many tasks others have changed since.
    """

    id: UUID
    name: str
    key: str
    time_zone: str
    wip: WipPolicy
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int
    my_role: Role
    permissions: tuple[Permission, ...]
    seen_seq: int | UnsetType = UNSET
    unread: int | UnsetType = UNSET


class TeamPage(Struct, frozen=True):
    """My teams."""

    items: tuple[TeamAnswer, ...]
    next_cursor: Cursor | None


class MemberPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new role."""

    role: Role


class ListedMember(Member, frozen=True, kw_only=True):
    """A membership; `left_at` is there for one that has ended, whose `role` and `name` are the last ones."""

    left_at: datetime | UnsetType = UNSET


class MemberPage(Struct, frozen=True):
    """The members, in the order they joined; or the former ones, in the order they left."""

    items: tuple[ListedMember, ...]
    next_cursor: Cursor | None


class NewLabel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A label to create."""

    name: LabelName
    color: Color

    def __post_init__(self) -> None:
        tidy(self, name=clean_label_name)


class LabelPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch of a label."""

    name: LabelName | UnsetType = UNSET
    color: Color | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy(self, name=clean_label_name)


class NewColumn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column to create, after the others. Its category is the status of tasks in it, and never changes."""

    name: ColumnName
    category: Category
    wip_limit: Limit | None = None

    def __post_init__(self) -> None:
        tidy(self, name=clean_column_name)


class ColumnPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch of a column: a `wip_limit` of null takes the limit away."""

    name: ColumnName | UnsetType = UNSET
    wip_limit: Limit | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        tidy(self, name=clean_column_name)


class ColumnMove(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to: right before or right after another column; with neither, behind all others."""

    before_id: UUID | None = None
    after_id: UUID | None = None


class ColumnPage(Struct, frozen=True):
    """The columns, from the first to the last."""

    items: tuple[ListedColumn, ...]
    next_cursor: Cursor | None


class LabelPage(Struct, frozen=True):
    """The labels, by name."""

    items: tuple[Label, ...]
    next_cursor: Cursor | None


_OF_CALLER: Final = frozenset({"my_role", "permissions", "seen_seq", "unread"})
_OF_TEAM: Final = tuple(name for name in TeamAnswer.__struct_fields__ if name not in _OF_CALLER)


def team_answer(team: Team, role: Role, permissions: tuple[Permission, ...], seen: Seen | None = None) -> TeamAnswer:
    """The team with the role of the caller, and what it allows; with `seen`, what they have not looked at."""
    fields: dict[str, Any] = {name: getattr(team, name) for name in _OF_TEAM}
    if seen is not None:
        fields |= {"seen_seq": seen.seq, "unread": seen.unread}
    return TeamAnswer(**fields, my_role=role, permissions=permissions)
