"""What can be asked of a team. A closed union; who asks, when and with which new ids is the `Asking` beside it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from core.columns import Category, WipPolicy
from core.permissions import Role
from core.principal import Principal
from core.quotas import Quotas
from core.task import Status, TaskFields, TaskPatch, check_text

BATCH_LIMIT: Final = 100

TeamName = Annotated[str, Meta(min_length=1, max_length=100)]
TimeZone = Annotated[str, Meta(min_length=1, max_length=64, description="IANA name.")]
TeamKey = Annotated[
    str, Meta(pattern="^[A-Z][A-Z0-9]{1,9}$", description="2 to 10 of A-Z and 0-9; prefixes task keys.")
]
ColumnName = Annotated[str, Meta(min_length=1, max_length=50)]
LabelName = Annotated[str, Meta(min_length=1, max_length=50)]
Color = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$", description="#rrggbb")]
Limit = Annotated[int, Meta(ge=1, le=10_000)]


class Asking(Struct, frozen=True):
    """Who asks, when (UTC), where new ids come from, how much there may be: all that `decide` needs from outside."""

    principal: Principal
    now: datetime
    new_id: Callable[[], UUID]
    quotas: Quotas = Quotas()

    @property
    def actor_id(self) -> UUID:
        """The user by whom, or in whose name, it is asked."""
        return self.principal.user_id


class Seen(Struct, frozen=True, gc=False):
    """The version of a task that a client has seen, and the epoch of the team in which it saw it."""

    version: int
    epoch: int


Version = int | Seen
"""A number alone is a version of the team's epoch, whichever that is."""
Versions = Version | tuple[Version, ...]
"""The version of a task that a client has seen, or several, any of which will do; `()` is matched by none."""


class CreateTeam(Struct, frozen=True, tag="create_team", gc=False):
    """`team_id` is new; the caller becomes the first owner under the name `owner_name`.

    `time_zone` is a name of the IANA database.
    """

    team_id: UUID
    name: TeamName
    key: TeamKey
    owner_name: str
    time_zone: TimeZone = "UTC"

    def __post_init__(self) -> None:
        check_text(name=self.name)


class UpdateTeam(Struct, frozen=True, kw_only=True, tag="update_team", gc=False):
    """`wip` says what becomes of the limits of columns."""

    name: TeamName | UnsetType = UNSET
    wip: WipPolicy | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_text(name=self.name)


class CreateColumn(Struct, frozen=True, kw_only=True, tag="create_column", gc=False):
    """A new column after the others. Without a `wip_limit` there may be any number of tasks."""

    name: ColumnName
    category: Category
    wip_limit: Limit | None = None

    def __post_init__(self) -> None:
        check_text(name=self.name)


class UpdateColumn(Struct, frozen=True, kw_only=True, tag="update_column", gc=False):
    """A `wip_limit` of None takes the limit away. A category never changes."""

    column_id: UUID
    name: ColumnName | UnsetType = UNSET
    wip_limit: Limit | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        check_text(name=self.name)


class MoveColumn(Struct, frozen=True, kw_only=True, tag="move_column", gc=False):
    """Right before or right after another column; with neither, behind all others."""

    column_id: UUID
    before_id: UUID | None = None
    after_id: UUID | None = None


class DeleteColumn(Struct, frozen=True, kw_only=True, tag="delete_column", gc=False):
    """`move_to` is the column that its tasks go to. One with many of them is closing until `CloseColumn` is done."""

    column_id: UUID
    move_to: UUID | None = None


class CloseColumn(Struct, frozen=True, tag="close_column", gc=False):
    """Go on with a column that is closing: move some more of its tasks, and delete it after the last.

    Only this system goes on with what somebody has begun.
    """

    column_id: UUID


class AddMember(Struct, frozen=True, tag="add_member", gc=False):
    user_id: UUID
    name: str
    role: Role


class ChangeRole(Struct, frozen=True, tag="change_role", gc=False):
    user_id: UUID
    role: Role


class RenameMember(Struct, frozen=True, tag="rename_member", gc=False):
    """The name under which the team shows the caller; nobody renames anybody else."""

    name: str


class RemoveMember(Struct, frozen=True, tag="remove_member", gc=False):
    """Removing oneself (leaving) needs no permission; the last owner cannot."""

    user_id: UUID


class CreateLabel(Struct, frozen=True, tag="create_label", gc=False):
    name: LabelName
    color: Color

    def __post_init__(self) -> None:
        check_text(name=self.name)


class UpdateLabel(Struct, frozen=True, kw_only=True, tag="update_label", gc=False):
    label_id: UUID
    name: LabelName | UnsetType = UNSET
    color: Color | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_text(name=self.name)


class DeleteLabel(Struct, frozen=True, tag="delete_label", gc=False):
    """Takes the label off every task of the board, one event each, then deletes it."""

    label_id: UUID


class RedactHistory(Struct, frozen=True, tag="redact_history", gc=False):
    """The journal has forgotten what it said up to `through_seq` of these tasks and users: whoever has copies is told.

    Nobody but this system may say so.
    """

    subjects: tuple[UUID, ...]
    through_seq: int


class CreateTask(Struct, frozen=True, tag="create", gc=False):
    fields: TaskFields


class UpdateTask(Struct, frozen=True, tag="update", gc=False):
    """`if_match` has what the client saw; None means last writer wins per field."""

    task_id: UUID
    patch: TaskPatch
    if_match: Versions | None = None


class MoveTask(Struct, frozen=True, kw_only=True, tag="move", gc=False):
    """Into a column (None: that of `status`; both None: stay), right before or right after a task of that column; with
    neither, to its bottom. Both must agree."""

    task_id: UUID
    status: Status | None = None
    column_id: UUID | None = None
    before_id: UUID | None = None
    after_id: UUID | None = None
    if_match: Versions | None = None


class ArchiveTask(Struct, frozen=True, tag="archive", gc=False):
    task_id: UUID
    if_match: Versions | None = None


class RestoreTask(Struct, frozen=True, tag="restore", gc=False):
    """Back onto the board, at the bottom of its column; references to things gone meanwhile are dropped."""

    task_id: UUID
    if_match: Versions | None = None


class DeleteTask(Struct, frozen=True, tag="delete", gc=False):
    """For good; admins only. Subtasks and blocked tasks lose their reference, one event each."""

    task_id: UUID
    if_match: Versions | None = None


TaskCommand = CreateTask | UpdateTask | MoveTask | ArchiveTask | RestoreTask


class Batch(Struct, frozen=True, tag="batch", gc=False):
    """All or nothing, at one contiguous range of `seq`; each operation sees the ones before it."""

    operations: tuple[TaskCommand, ...]


AnyCommand = (
    CreateTeam
    | UpdateTeam
    | AddMember
    | ChangeRole
    | RenameMember
    | RemoveMember
    | CreateLabel
    | UpdateLabel
    | DeleteLabel
    | CreateColumn
    | UpdateColumn
    | MoveColumn
    | DeleteColumn
    | CloseColumn
    | RedactHistory
    | TaskCommand
    | DeleteTask
    | Batch
)
