"""What the data of an event says of its thing, in the journal, in feeds and in topics: shapes of their own.

They have the fields of the domain's Structs today, and a field that the domain gets does not come here by itself,
because data teams read for years what was written once. A field may be added on purpose, at the end. Any other change
raises the `schema_version` of the events and needs a step in `upcasts.py` that reads the older data.
"""

from datetime import date, datetime
from typing import Any, Final, assert_never
from uuid import UUID

from msgspec import Struct, field

from core import columns, comment, ended, events, task
from core.columns import Category, WipPolicy
from core.permissions import Role
from core.recurrence import Recurrence
from core.shapes import encoder, fields_encoder
from core.task import Priority, Status

__all__ = [
    "OLDER_DATA",
    "Comment",
    "CommentData",
    "Counts",
    "Attachment",
    "AttachmentData",
    "Column",
    "ColumnData",
    "DeletedTask",
    "DeletedTaskData",
    "DeletedTeam",
    "DeletedTeamData",
    "Label",
    "LabelData",
    "Member",
    "MemberData",
    "RedactionData",
    "Task",
    "TaskData",
    "Team",
    "TeamData",
    "data_type",
    "encode_comment",
    "encode_comment_fields",
    "encode_attachment",
    "encode_column",
    "encode_column_fields",
    "encode_deleted_task",
    "encode_label",
    "encode_label_fields",
    "encode_member",
    "encode_member_fields",
    "encode_task",
    "encode_task_fields",
    "encode_team",
    "encode_team_fields",
]


class Task(Struct, frozen=True, kw_only=True, gc=False):
    """A task after the change. `version` is the team's `seq` of that change."""

    id: UUID
    team_id: UUID
    number: int
    key: str
    title: str
    description: str = ""
    status: Status = "open"
    priority: Priority = "none"
    assignee_id: UUID | None = None
    label_ids: tuple[UUID, ...] = ()
    due_at: datetime | None = None
    estimate: float | None = None
    parent_id: UUID | None = None
    blocked_by: tuple[UUID, ...] = ()
    rank: str
    external_id: str | None = None
    external_source: str | None = None
    comment_count: int = 0
    attachment_count: int = 0
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    archived_at: datetime | None = None
    version: int
    column_id: UUID = field(default_factory=lambda: task.NO_COLUMN)  # Events of before there were columns have none.
    due_on: date | None = None
    recurrence: Recurrence | None = None


class DeletedTask(Struct, frozen=True, kw_only=True, gc=False):
    """A task that is gone for good, without anything that was written in it."""

    id: UUID
    team_id: UUID
    number: int
    key: str


class Member(Struct, frozen=True, kw_only=True, gc=False):
    """A membership after the change."""

    user_id: UUID
    role: Role
    name: str
    joined_at: datetime


class Label(Struct, frozen=True, kw_only=True, gc=False):
    """A label after the change."""

    id: UUID
    name: str
    color: str


class Attachment(Struct, frozen=True, kw_only=True, gc=False):
    """A file of a task: its size in bytes, and its SHA-256 in hexadecimal as `digest`."""

    id: UUID
    task_id: UUID
    name: str
    media_type: str
    size: int
    digest: str
    created_by: UUID
    created_at: datetime


class Column(Struct, frozen=True, kw_only=True, gc=False):
    """A column after the change. `rank` orders columns (plain string comparison); `category` never changes.

    One that is being deleted while it holds tasks says where they go: `closing_into`.
    """

    id: UUID
    name: str
    category: Category
    wip_limit: int | None = None
    rank: str
    closing_into: UUID | None = None
    closing_by: UUID | None = None


class Team(Struct, frozen=True, kw_only=True, gc=False):
    """A team's settings after the change."""

    id: UUID
    name: str
    key: str
    time_zone: str = "UTC"
    wip: WipPolicy = "warn"
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int


class DeletedTeam(Struct, frozen=True, kw_only=True, gc=False):
    """Which team is gone, with all that there was in it."""

    id: UUID


class TeamWithLimits(Struct, frozen=True, kw_only=True, gc=False):
    """A team's settings as they were before it had columns: at most so many tasks of a status."""

    id: UUID
    name: str
    key: str
    wip_limits: dict[Status, int] = {}
    time_zone: str = "UTC"
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int


class TaskData(Struct, frozen=True):
    """`previous` has the old values of the fields that changed, `ranks` the neighbours that got a new rank with it."""

    task: Task
    previous: dict[str, Any] = {}
    ranks: dict[UUID, str] = {}


class DeletedTaskData(Struct, frozen=True):
    """Which task is gone."""

    task: DeletedTask


class Comment(Struct, frozen=True, kw_only=True, gc=False):
    """A comment. In `body`, which is Markdown, `<@user-id>` stands for each of the `mentions`."""

    id: UUID
    task_id: UUID
    author_id: UUID
    body: str
    mentions: tuple[UUID, ...] = ()
    created_at: datetime
    updated_at: datetime
    version: int


class Counts(Struct, frozen=True):
    """How much hangs on a task."""

    comments: int
    attachments: int


class CommentData(Struct, frozen=True):
    """`comment` after the change; once it is deleted, without its text. `previous` has what changed in it.

    A comment raises its task's version: `version` is the new one, `counts` are the task's, and `task` is all of it.
    """

    comment: Comment
    previous: dict[str, Any]
    task_id: UUID
    version: int
    counts: Counts
    task: Task


class MemberData(Struct, frozen=True):
    """`previous` has the old values of the fields that changed."""

    member: Member
    previous: dict[str, Any] = {}


class LabelData(Struct, frozen=True):
    """`previous` has the old values of the fields that changed."""

    label: Label
    previous: dict[str, Any] = {}


class AttachmentData(Struct, frozen=True):
    """The file; in `previous` the old values of what changed of its task, in the others as in those of a comment."""

    attachment: Attachment
    previous: dict[str, Any]
    task_id: UUID
    version: int
    counts: Counts
    task: Task


class ColumnData(Struct, frozen=True):
    """`previous` has the old values of the fields that changed, `ranks` other columns that got a new rank with it."""

    column: Column
    previous: dict[str, Any] = {}
    ranks: dict[UUID, str] = {}


class TeamData(Struct, frozen=True):
    """`previous` has the old values of the fields that changed; it is empty in a team's first event."""

    team: Team
    previous: dict[str, Any] = {}


class DeletedTeamData(Struct, frozen=True):
    """Which team is gone. Events of its members' end came before; tasks, labels and columns end with it."""

    team: DeletedTeam


class TeamWithLimitsData(Struct, frozen=True):
    """`previous` has the old values of the fields that changed; it is empty in a team's first event."""

    team: TeamWithLimits
    previous: dict[str, Any] = {}


class HistoryData(Struct, frozen=True):
    """Events of an older epoch whose seq is `from_seq` or higher have not happened."""

    epoch: int
    from_seq: int


class RedactionData(Struct, frozen=True):
    """What events up to `through_seq` said of these tasks, comments and users is gone; of a team: all of it."""

    subjects: tuple[UUID, ...]
    through_seq: int


def data_type(event: type[events.Event]) -> type[Struct]:
    """The shape of the data of a type of events: what its JSON Schema is made of."""
    if event is events.TaskDeleted:
        return DeletedTaskData
    if event is events.HistoryRedacted:
        return RedactionData
    if event is events.TeamDeleted:
        return DeletedTeamData
    noun = event.noun
    match noun:
        case "task":
            return TaskData
        case "comment":
            return CommentData
        case "member":
            return MemberData
        case "label":
            return LabelData
        case "column":
            return ColumnData
        case "team":
            return TeamData
        case "attachment":
            return AttachmentData
        case "history":
            return HistoryData
        case _:
            assert_never(noun)


OLDER_DATA: Final[dict[tuple[str, int], tuple[type[Struct], str]]] = {
    ("task.deleted", 1): (TaskData, "The task as it last was; it is gone for good."),
    ("team.updated", 1): (TeamWithLimitsData, "The team's settings, with limits by status: it had no columns yet."),
}
"""Shapes that are written no more, and what is said of them: topics may still hold events that name their schemas."""

encode_task: Final = encoder(task.Task, Task)
encode_deleted_task: Final = encoder(events.DeletedTask, DeletedTask)
encode_deleted_team: Final = encoder(ended.DeletedTeam, DeletedTeam)
encode_comment: Final = encoder(comment.Comment, Comment)
encode_member: Final = encoder(events.Member, Member)
encode_label: Final = encoder(events.Label, Label)
encode_attachment: Final = encoder(events.Attachment, Attachment)
encode_column: Final = encoder(columns.Column, Column)
encode_team: Final = encoder(events.Team, Team)

# Some fields alone, by name: those of `previous`.
encode_task_fields: Final = fields_encoder(task.Task, Task)
encode_comment_fields: Final = fields_encoder(comment.Comment, Comment)
encode_member_fields: Final = fields_encoder(events.Member, Member)
encode_label_fields: Final = fields_encoder(events.Label, Label)
encode_column_fields: Final = fields_encoder(columns.Column, Column)
encode_team_fields: Final = fields_encoder(events.Team, Team)
