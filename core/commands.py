"""What can be asked of a team. A closed union; who asks, when and with which new ids is the `Asking` beside it."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from core.circles import Circles
from core.columns import Category, WipPolicy
from core.comment import CommentBody, clean_comment
from core.permissions import Role
from core.principal import Principal
from core.quotas import Quotas
from core.task import Status, TaskFields, TaskPatch, tidy
from core.text import clean_line

BATCH_LIMIT: Final = 100
READS_LIMIT: Final = 500

TEAM_NAME_LENGTH: Final = 100
LABEL_NAME_LENGTH: Final = 50
COLUMN_NAME_LENGTH: Final = 50

TeamName = Annotated[str, Meta(min_length=1, max_length=TEAM_NAME_LENGTH)]
TimeZone = Annotated[str, Meta(min_length=1, max_length=64, description="IANA name.")]
TeamKey = Annotated[
    str, Meta(pattern="^[A-Z][A-Z0-9]{1,9}$", description="2 to 10 of A-Z and 0-9; prefixes task keys.")
]
LabelName = Annotated[str, Meta(min_length=1, max_length=LABEL_NAME_LENGTH)]
ColumnName = Annotated[str, Meta(min_length=1, max_length=COLUMN_NAME_LENGTH)]
Color = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$", description="#rrggbb")]
Limit = Annotated[int, Meta(ge=1, le=10_000)]

clean_team_name: Final = partial(clean_line, most=TEAM_NAME_LENGTH)
clean_label_name: Final = partial(clean_line, most=LABEL_NAME_LENGTH)
clean_column_name: Final = partial(clean_line, most=COLUMN_NAME_LENGTH)


Zones = Callable[[str], tzinfo]
"""Finds a time zone by its name in the IANA database, whose data are files."""


def only_utc(name: str) -> tzinfo:
    """For those who work with no other zone. Raises LookupError."""
    if name != "UTC":
        raise LookupError(f"no zone {name} here")
    return UTC


class Asking(Struct, frozen=True):
    """Who asks, when (UTC), where new ids, zones and limits come from: all that `decide` needs from outside."""

    principal: Principal
    now: datetime
    new_id: Callable[[], UUID]
    quotas: Quotas = Quotas()
    zones: Zones = only_utc
    parents: Circles = field(default_factory=partial(Circles, "/parent_id"))
    blockers: Circles = field(default_factory=partial(Circles, "/blocked_by"))
    """What this command, with all operations of a batch, has found out about the links between tasks."""

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
        tidy(self, name=clean_team_name)


class UpdateTeam(Struct, frozen=True, kw_only=True, tag="update_team", gc=False):
    """`wip` says what becomes of the limits of columns."""

    name: TeamName | UnsetType = UNSET
    wip: WipPolicy | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy(self, name=clean_team_name)


class CreateColumn(Struct, frozen=True, kw_only=True, tag="create_column", gc=False):
    """A new column after the others. Without a `wip_limit` there may be any number of tasks."""

    name: ColumnName
    category: Category
    wip_limit: Limit | None = None

    def __post_init__(self) -> None:
        tidy(self, name=clean_column_name)


class UpdateColumn(Struct, frozen=True, kw_only=True, tag="update_column", gc=False):
    """A `wip_limit` of None takes the limit away. A category never changes."""

    column_id: UUID
    name: ColumnName | UnsetType = UNSET
    wip_limit: Limit | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        tidy(self, name=clean_column_name)


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
        tidy(self, name=clean_label_name)


class UpdateLabel(Struct, frozen=True, kw_only=True, tag="update_label", gc=False):
    label_id: UUID
    name: LabelName | UnsetType = UNSET
    color: Color | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy(self, name=clean_label_name)


class DeleteLabel(Struct, frozen=True, tag="delete_label", gc=False):
    """Takes the label off every task of the board, one event each, then deletes it."""

    label_id: UUID


class DeleteTeam(Struct, frozen=True, tag="delete_team", gc=False):
    """The team ends for good: every member leaves, then all that there is in it is gone."""


class RedactHistory(Struct, frozen=True, tag="redact_history", gc=False):
    """The journal has forgotten what it said up to `through_seq` of the subjects: whoever has copies is told.

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


class RepeatTask(Struct, frozen=True, tag="repeat", gc=False):
    """Make the next task of a series, if the time for it has come `at` this moment, or by now.

    Only this system asks for that.
    """

    task_id: UUID
    at: datetime


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


class UndoTask(Struct, frozen=True, kw_only=True, tag="undo", gc=False):
    """Take back the change of the task with this `seq`; with None, the newest one of the user who asks, `user_id`."""

    task_id: UUID
    user_id: UUID
    seq: int | None = None
    if_match: Versions | None = None


class AddComment(Struct, frozen=True, tag="add_comment", gc=False):
    """On a task of the board. `body` is as people write it, with `@name` for whom it mentions."""

    task_id: UUID
    body: CommentBody

    def __post_init__(self) -> None:
        tidy(self, body=clean_comment)


class EditComment(Struct, frozen=True, tag="edit_comment", gc=False):
    """By its author only. `if_match` has what the client saw of the comment; None means last writer wins."""

    comment_id: UUID
    body: CommentBody
    if_match: Versions | None = None

    def __post_init__(self) -> None:
        tidy(self, body=clean_comment)


class DeleteComment(Struct, frozen=True, tag="delete_comment", gc=False):
    """By its author or an admin."""

    comment_id: UUID
    if_match: Versions | None = None


CommentCommand = AddComment | EditComment | DeleteComment


class AddAttachment(Struct, frozen=True, kw_only=True, tag="add_attachment", gc=False):
    """A file that is whole in the object store belongs to the task from now on. `digest` is its SHA-256 in hexadecimal.

    Whoever asks has cleaned its name and judged its type by what is in it.
    """

    task_id: UUID
    attachment_id: UUID
    name: str
    media_type: str
    size: int
    digest: str


class DeleteAttachment(Struct, frozen=True, tag="delete_attachment", gc=False):
    """The file goes for good."""

    attachment_id: UUID


TaskCommand = CreateTask | UpdateTask | MoveTask | ArchiveTask | RestoreTask


class Basis(Struct, frozen=True, gc=False):
    """What somebody knew when they asked: the team's `seq` of `epoch`, and what they have read of it.

    `reads` has ids of tasks, columns and labels; `whole` says that they have read everything, and have seen what is not
    there.
    """

    seq: int
    epoch: int
    reads: tuple[UUID, ...] = ()
    whole: bool = False


class Batch(Struct, frozen=True, tag="batch", gc=False):
    """All or nothing, at one contiguous range of `seq`; each operation sees the ones before it.

    With a `basis`, only if nothing of what was read and nothing of what is operated on has changed since.
    """

    operations: tuple[TaskCommand, ...]
    basis: Basis | None = None


AnyCommand = (
    CreateTeam
    | UpdateTeam
    | DeleteTeam
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
    | RepeatTask
    | RedactHistory
    | TaskCommand
    | UndoTask
    | DeleteTask
    | CommentCommand
    | AddAttachment
    | DeleteAttachment
    | Batch
)
