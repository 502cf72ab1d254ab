"""What happened to a team, in the past tense. A closed union: `evolve` and every consumer match it exhaustively.

An event carries the thing after the change and, in `previous`, the old values of only the fields that changed. Its
`seq` is the team's gap-free number. The JSON of `data` (see `codec.py`) is the same in journal, feeds and topics.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, get_args
from uuid import UUID

from msgspec import Struct

from core.columns import Category, Column, WipPolicy
from core.comment import Comment
from core.ended import DeletedTeam
from core.permissions import Role
from core.task import Task


class Team(Struct, frozen=True, kw_only=True, gc=False):
    """A team's settings. `key` prefixes the human task numbers (`ENG-42`) and never changes. Its calendar dates
    are judged in `time_zone`, a name of the IANA database. `wip` is what becomes of the limits of its columns."""

    id: UUID
    name: str
    key: str
    time_zone: str = "UTC"
    wip: WipPolicy = "warn"
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int


class DeletedTask(Struct, frozen=True, kw_only=True, gc=False):
    """What is left to say of a task that is gone for good: which one it was, and nothing that was written in it."""

    id: UUID
    team_id: UUID
    number: int
    key: str


class Member(Struct, frozen=True, kw_only=True, gc=False):
    """A user's membership. `name` is the user's, as the team last learned it."""

    user_id: UUID
    role: Role
    name: str
    joined_at: datetime


class Label(Struct, frozen=True, kw_only=True, gc=False):
    """A label of the team; `color` is `#rrggbb`."""

    id: UUID
    name: str
    color: str


class Attachment(Struct, frozen=True, kw_only=True, gc=False):
    """A file of a task. `size` is in bytes, `digest` its SHA-256 in hexadecimal; none of this ever changes."""

    id: UUID
    task_id: UUID
    name: str
    media_type: str
    size: int
    digest: str
    created_by: UUID
    created_at: datetime


Noun = Literal["task", "comment", "attachment", "member", "label", "column", "team", "history"]
"""What an event is about; also the name of that thing in the event's data."""

StateRecord = Literal["none", "task", "tombstone"]
"""What an event puts into the compacted topic under its subject: nothing, its task, or the end of it."""


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """Whose team, which number, by whom, when (UTC).

    What is true of every event of a type stands on its class. The class itself says what is true of an event whose type
    this version does not know: nothing.
    """

    type: ClassVar[str]
    """The CloudEvents type."""
    noun: ClassVar[Noun]
    schema_version: ClassVar[int] = 1
    """Raised when readers of the data must tell the new shape from the old one. One attribute more is no such case."""
    gone: ClassVar[bool] = False
    """Whether the thing no longer exists afterwards; the event carries it as it last was."""
    ends_membership: ClassVar[bool] = False
    """Whether the subject is a user who must not be given anything with a higher `seq`."""
    state_record: ClassVar[StateRecord] = "none"

    team_id: UUID
    seq: int
    actor_id: UUID
    at: datetime

    @property
    def subject(self) -> UUID:
        """The id of the thing the event is about."""
        return self.team_id

    @property
    def thing_id(self) -> UUID:
        """The id of what the event is about among its own kind, where its subject is what that belongs to."""
        return self.subject

    @property
    def thing(self) -> Struct:
        """What the event is about, as it is after the change."""
        thing: Struct = getattr(self, self.noun)
        return thing


class TaskEvent(Event, frozen=True, kw_only=True, gc=False):
    """A task after the change. `ranks` holds neighbours whose rank was spread anew by the same change (rarely any)."""

    noun: ClassVar[Noun] = "task"
    state_record: ClassVar[StateRecord] = "task"
    task: Task
    previous: dict[str, Any] = {}
    ranks: dict[UUID, str] = {}

    @property
    def subject(self) -> UUID:
        return self.task.id

    @property
    def task_changes(self) -> Iterable[str]:
        """The names of the task's fields that changed, but for `version` and `updated_at`."""
        return self.previous


class TaskCreated(TaskEvent, frozen=True, kw_only=True, gc=False):
    type = "task.created"


class TaskUpdated(TaskEvent, frozen=True, kw_only=True, gc=False):
    type = "task.updated"


class TaskMoved(TaskEvent, frozen=True, kw_only=True, gc=False):
    type = "task.moved"


class TaskArchived(TaskEvent, frozen=True, kw_only=True, gc=False):
    type = "task.archived"


class TaskRestored(TaskEvent, frozen=True, kw_only=True, gc=False):
    type = "task.restored"


class TaskDeleted(Event, frozen=True, kw_only=True, gc=False):
    """The task is gone for good. Of what it was, only its ids and its number are left; who needs more had it before."""

    type = "task.deleted"
    noun = "task"
    schema_version = 2
    gone = True
    state_record = "tombstone"
    task: DeletedTask

    @property
    def subject(self) -> UUID:
        return self.task.id


class CommentEvent(TaskEvent, frozen=True, kw_only=True, gc=False):
    """A comment after the change, and its task, whose version it raises. `previous` is of the comment."""

    noun = "comment"
    comment: Comment

    @property
    def thing_id(self) -> UUID:
        return self.comment.id

    @property
    def task_changes(self) -> Iterable[str]:
        return ("comment_count",)


class CommentAdded(CommentEvent, frozen=True, kw_only=True, gc=False):
    type = "comment.added"


class CommentEdited(CommentEvent, frozen=True, kw_only=True, gc=False):
    type = "comment.edited"


class CommentDeleted(CommentEvent, frozen=True, kw_only=True, gc=False):
    """Which comment is gone, and whose it was: its text is in no event of this type."""

    type = "comment.deleted"
    gone = True


class AttachmentEvent(TaskEvent, frozen=True, kw_only=True, gc=False):
    """A file came to a task or left it. The task is as it is afterwards; `previous` has what changed of it."""

    noun = "attachment"
    attachment: Attachment

    @property
    def thing_id(self) -> UUID:
        return self.attachment.id


class AttachmentAdded(AttachmentEvent, frozen=True, kw_only=True, gc=False):
    type = "attachment.added"


class AttachmentDeleted(AttachmentEvent, frozen=True, kw_only=True, gc=False):
    """The attachment as it was; its file is gone for good."""

    type = "attachment.deleted"
    gone = True


class MemberEvent(Event, frozen=True, kw_only=True, gc=False):
    noun = "member"
    member: Member
    previous: dict[str, Any] = {}

    @property
    def subject(self) -> UUID:
        return self.member.user_id


class MemberAdded(MemberEvent, frozen=True, kw_only=True, gc=False):
    type = "member.added"


class MemberUpdated(MemberEvent, frozen=True, kw_only=True, gc=False):
    """The member under a new name."""

    type = "member.updated"


class MemberRoleChanged(MemberEvent, frozen=True, kw_only=True, gc=False):
    type = "member.role_changed"


class MemberRemoved(MemberEvent, frozen=True, kw_only=True, gc=False):
    """The membership as it last was. Nothing with a higher `seq` may reach this member's feeds."""

    type = "member.removed"
    gone = True
    ends_membership = True


class LabelEvent(Event, frozen=True, kw_only=True, gc=False):
    noun = "label"
    label: Label
    previous: dict[str, Any] = {}

    @property
    def subject(self) -> UUID:
        return self.label.id


class LabelCreated(LabelEvent, frozen=True, kw_only=True, gc=False):
    type = "label.created"


class LabelUpdated(LabelEvent, frozen=True, kw_only=True, gc=False):
    type = "label.updated"


class LabelDeleted(LabelEvent, frozen=True, kw_only=True, gc=False):
    type = "label.deleted"
    gone = True


class ColumnEvent(Event, frozen=True, kw_only=True, gc=False):
    """`ranks` holds other columns whose rank was spread anew by the same change (rarely any)."""

    noun = "column"
    column: Column
    previous: dict[str, Any] = {}
    ranks: dict[UUID, str] = {}

    @property
    def subject(self) -> UUID:
        return self.column.id


class ColumnCreated(ColumnEvent, frozen=True, kw_only=True, gc=False):
    type = "column.created"


class ColumnUpdated(ColumnEvent, frozen=True, kw_only=True, gc=False):
    """Its name or its limit; or it is closing from now on, and its tasks move away."""

    type = "column.updated"


class ColumnMoved(ColumnEvent, frozen=True, kw_only=True, gc=False):
    type = "column.moved"


class ColumnDeleted(ColumnEvent, frozen=True, kw_only=True, gc=False):
    """No task of the board stands in it any more."""

    type = "column.deleted"
    gone = True


class TeamUpdated(Event, frozen=True, kw_only=True, gc=False):
    """The team's settings after the change; the first event of every team is one with an empty `previous`.

    `limits` is there in events of before there were columns, which said how many tasks there may be of each status:
    they became the limits of the first columns.
    """

    type = "team.updated"
    noun = "team"
    schema_version = 2
    team: Team
    previous: dict[str, Any] = {}
    limits: dict[Category, int] | None = None


class TeamDeleted(Event, frozen=True, kw_only=True, gc=False):
    """The team is gone, with all that there was in it: tasks, labels, columns. Its members have left just before."""

    type = "team.deleted"
    noun = "team"
    gone = True
    team: DeletedTeam


class TeamRestored(Event, frozen=True, kw_only=True, gc=False):
    """History was rewritten, by a restore: a new `epoch` begins with this event, whose `seq` is `from_seq`.

    Whatever an older epoch had from there on has not happened.
    """

    type = "team.restored"
    noun = "history"
    epoch: int
    from_seq: int

    @property
    def thing(self) -> Struct:
        return self


class HistoryRedacted(Event, frozen=True, kw_only=True, gc=False):
    """What events up to `through_seq` said of the `subjects` (deleted tasks and comments, erased users) is gone.

    The journal has forgotten it before this event. Whoever holds copies of older events, or of what was made of them,
    drops what they say of the subjects: texts of tasks and comments, external ids, names of users; all of a team.
    """

    type = "history.redacted"
    noun = "history"
    subjects: tuple[UUID, ...]
    through_seq: int

    @property
    def thing(self) -> Struct:
        return self


AnyTaskEvent = TaskCreated | TaskUpdated | TaskMoved | TaskArchived | TaskRestored
"""The events about a task that carry it whole."""
AnyCommentEvent = CommentAdded | CommentEdited | CommentDeleted
AnyAttachmentEvent = AttachmentAdded | AttachmentDeleted
"""The events about what hangs on a task: they carry the whole task, too."""
AnyMemberEvent = MemberAdded | MemberUpdated | MemberRoleChanged | MemberRemoved
AnyColumnEvent = ColumnCreated | ColumnUpdated | ColumnMoved | ColumnDeleted
AnyHistoryEvent = TeamRestored | HistoryRedacted
AnyOtherEvent = (
    AnyMemberEvent
    | LabelCreated
    | LabelUpdated
    | LabelDeleted
    | AnyColumnEvent
    | TeamUpdated
    | TeamDeleted
    | AnyHistoryEvent
    | TaskDeleted
)
AnyEvent = AnyTaskEvent | AnyCommentEvent | AnyAttachmentEvent | AnyOtherEvent

EVENT_TYPES: Final[dict[str, type[AnyEvent]]] = {event.type: event for event in get_args(AnyEvent)}


def event_class(name: str) -> type[Event]:
    """The class of events of a type; `Event` itself for a type that this version does not know."""
    return EVENT_TYPES.get(name, Event)
