"""What goes in and out as JSON beyond the domain's own types. Input Structs are closed: unknown fields are refused."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from api.rest_v1 import BoardColumn, Label, Member, Task
from api.rest_v1 import Column as ListedColumn
from core import commands
from core.columns import Category, WipPolicy
from core.commands import BATCH_LIMIT, Color, ColumnName, LabelName, Limit, TeamKey, TeamName, TimeZone
from core.events import Team
from core.permissions import Permission, Role
from core.seq import MAX_SEQ
from core.task import Status, TaskFields, TaskPatch, check_text

__all__ = [
    "ActivityPage",
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


class BatchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 100 operations on one team, all or nothing; each sees the ones before it."""

    team_id: UUID
    operations: Annotated[tuple[BatchOperation, ...], Meta(min_length=1, max_length=BATCH_LIMIT)]


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


class ActivityPage(Struct, frozen=True):
    """CloudEvents, newest first."""

    items: tuple[dict[str, Any], ...]
    next_cursor: Cursor | None


class NewTeam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team to create; the caller becomes its owner. Without a `time_zone` it gets the caller's."""

    name: TeamName
    key: TeamKey
    time_zone: TimeZone | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_text(name=self.name)


class TeamPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch of a team's settings. `wip`: limits of columns are ignored, warned of in answers, or enforced."""

    name: TeamName | UnsetType = UNSET
    wip: WipPolicy | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_text(name=self.name)


class TeamAnswer(Struct, frozen=True, kw_only=True):
    """A team as one of its members sees it."""

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
        check_text(name=self.name)


class LabelPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch of a label."""

    name: LabelName | UnsetType = UNSET
    color: Color | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_text(name=self.name)


class NewColumn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column to create, after the others. Its category is the status of tasks in it, and never changes."""

    name: ColumnName
    category: Category
    wip_limit: Limit | None = None

    def __post_init__(self) -> None:
        check_text(name=self.name)


class ColumnPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch of a column: a `wip_limit` of null takes the limit away."""

    name: ColumnName | UnsetType = UNSET
    wip_limit: Limit | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        check_text(name=self.name)


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


_OF_TEAM: Final = tuple(name for name in TeamAnswer.__struct_fields__ if name not in {"my_role", "permissions"})


def team_answer(team: Team, role: Role, permissions: tuple[Permission, ...]) -> TeamAnswer:
    """The team with the role of the caller, and what it allows."""
    fields: dict[str, Any] = {name: getattr(team, name) for name in _OF_TEAM}
    return TeamAnswer(**fields, my_role=role, permissions=permissions)
