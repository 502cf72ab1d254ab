"""What happened to a team, in the past tense. A closed union: `evolve` and every consumer match it exhaustively.

An event carries the thing after the change and, in `previous`, the old values of only the fields that changed. Its
`seq` is the team's gap-free number. The JSON of `data` (see `codec.py`) is the same in journal, feeds and topics.
"""

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from msgspec import Struct

from core.permissions import Role
from core.task import Status, Task


class Team(Struct, frozen=True, kw_only=True, gc=False):
    """A team's settings. `key` prefixes the human task numbers (`ENG-42`) and never changes."""

    id: UUID
    name: str
    key: str
    wip_limits: dict[Status, int] = {}
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int


class Member(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody's membership. `name` is the user's, as the team has heard it last."""

    user_id: UUID
    role: Role
    name: str
    joined_at: datetime


class Label(Struct, frozen=True, kw_only=True, gc=False):
    """A label of the team; `color` is `#rrggbb`."""

    id: UUID
    name: str
    color: str


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """Whose team, which number, by whom, when (UTC). `type` is the CloudEvents type, `subject` what it is about.

    `schema_version` is raised when readers of the data must tell the new shape from the old one; an attribute more
    is none of their business.
    """

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1
    team_id: UUID
    seq: int
    actor_id: UUID
    at: datetime

    @property
    def subject(self) -> UUID:
        """The id of the thing the event is about."""
        return self.team_id


class TaskEvent(Event, frozen=True, kw_only=True, gc=False):
    """A task after the change. `ranks` holds neighbours whose rank was spread anew by the same change (rarely any)."""

    task: Task
    previous: dict[str, Any] = {}
    ranks: dict[UUID, str] = {}

    @property
    def subject(self) -> UUID:
        return self.task.id


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


class TaskDeleted(TaskEvent, frozen=True, kw_only=True, gc=False):
    """The task as it last was; it is gone for good."""

    type = "task.deleted"


class MemberEvent(Event, frozen=True, kw_only=True, gc=False):
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


class LabelEvent(Event, frozen=True, kw_only=True, gc=False):
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


class TeamUpdated(Event, frozen=True, kw_only=True, gc=False):
    """The team's settings after the change; the first event of every team is one with an empty `previous`."""

    type = "team.updated"
    team: Team
    previous: dict[str, Any] = {}


AnyTaskEvent = TaskCreated | TaskUpdated | TaskMoved | TaskArchived | TaskRestored | TaskDeleted
AnyEvent = (
    AnyTaskEvent
    | MemberAdded
    | MemberUpdated
    | MemberRoleChanged
    | MemberRemoved
    | LabelCreated
    | LabelUpdated
    | LabelDeleted
    | TeamUpdated
)

EVENT_TYPES: Final[dict[str, type[AnyEvent]]] = {
    event.type: event
    for event in (
        TaskCreated,
        TaskUpdated,
        TaskMoved,
        TaskArchived,
        TaskRestored,
        TaskDeleted,
        MemberAdded,
        MemberUpdated,
        MemberRoleChanged,
        MemberRemoved,
        LabelCreated,
        LabelUpdated,
        LabelDeleted,
        TeamUpdated,
    )
}
