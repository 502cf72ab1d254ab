"""Who may give which command: what the role in the team carries, as far as the scopes of the principal reach.

Closed over all commands. What an endpoint takes is a `Requirement`: a right in the team that the request names, or less
where it names none.
"""

from typing import Any, Final, Literal, assert_never
from uuid import UUID

from msgspec import Struct

from core.commands import (
    AddAttachment,
    AddComment,
    AddMember,
    AnyCommand,
    ArchiveTask,
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
)
from core.errors import Forbidden, NotFound
from core.permissions import Right, check_right
from core.principal import Principal, Scope
from core.team import TeamState

__all__ = [
    "ANYBODY",
    "BOOTSTRAP_COPIES",
    "DELETE_TASKS",
    "MANAGE_LABELS",
    "MANAGE_MEMBERS",
    "MANAGE_TEAM",
    "MAKE_REPORTS",
    "MARK_SEEN",
    "OWN_MEMBERSHIP",
    "OWN_TEAM",
    "READ",
    "READ_AUDIT",
    "SESSION",
    "SIGNED_IN",
    "SIGNED_IN_TO_MANAGE",
    "SIGNED_IN_TO_WRITE",
    "WRITE_TASKS",
    "Requirement",
    "check_allowed",
    "in_team",
    "right_of",
]

READ: Final = Right("read", "read")
WRITE_TASKS: Final = Right("write_tasks", "write")
DELETE_TASKS: Final = Right("delete_tasks", "admin")
MANAGE_LABELS: Final = Right("manage_labels", "write")
MANAGE_MEMBERS: Final = Right("manage_members", "admin")
MANAGE_TEAM: Final = Right("manage_team", "admin")
READ_AUDIT: Final = Right("read_audit", "admin")
OWN_TEAM: Final = Right("own_team", "admin")
MARK_SEEN: Final = Right("read", "write")
"""Every member notes for themselves what they have looked at."""
MAKE_REPORTS: Final = Right("read", "write")
"""Every member may have printed what they see."""
BOOTSTRAP_COPIES: Final = Right("read", "read")
"""Every member may have whole what they may read event by event, and so may a key that only reads."""
OWN_MEMBERSHIP: Final = Right("read", "admin")
"""Every member may leave and be renamed. A key needs the same scope for it as for the memberships of others."""

Who = Literal["anybody", "signed-in", "member"]
"""Anybody at all; a user, or an API key of theirs; a member of the team that it is about, or a key of one."""


class Requirement(Struct, frozen=True):
    """What an endpoint takes of whoever asks. `right` is set for members, `scope` for what is in no team.

    Without `keys` no API key will do, whatever its scopes. Where `unless_oneself`, whoever asks about their own
    membership needs no more than `OWN_MEMBERSHIP`. `also` has the rights that it takes with certain queries.
    """

    who: Who
    right: Right | None = None
    scope: Scope | None = None
    keys: bool = True
    unless_oneself: bool = False
    also: tuple[tuple[str, Right], ...] = ()


ANYBODY: Final = Requirement("anybody")
"""No credentials, or some that come with the request, such as a password or a refresh token."""
SIGNED_IN: Final = Requirement("signed-in", scope="read")
SIGNED_IN_TO_WRITE: Final = Requirement("signed-in", scope="write")
SIGNED_IN_TO_MANAGE: Final = Requirement("signed-in", scope="admin")
SESSION: Final = Requirement("signed-in", keys=False)


def in_team(right: Right, **more: Any) -> Requirement:
    """What takes a right in the team that the request names; `more` are further fields. Others find no such team."""
    return Requirement("member", right, **more)


def right_of(command: AnyCommand, user_id: UUID) -> Right:
    """The right that a user needs for the command."""
    match command:
        case UpdateTask() | MoveTask() | CreateTask() | ArchiveTask() | RestoreTask() | UndoTask() | Batch():
            return WRITE_TASKS
        case AddComment() | EditComment() | DeleteComment():
            return WRITE_TASKS  # Whose comment it is, `decide` knows.
        case AddAttachment() | DeleteAttachment():
            return WRITE_TASKS
        case DeleteTask():
            return DELETE_TASKS
        case CreateLabel() | UpdateLabel() | DeleteLabel():
            return MANAGE_LABELS
        case AddMember() | ChangeRole():
            return MANAGE_MEMBERS
        case RemoveMember():
            return OWN_MEMBERSHIP if command.user_id == user_id else MANAGE_MEMBERS
        case RenameMember():
            return OWN_MEMBERSHIP
        case UpdateTeam() | CreateColumn() | UpdateColumn() | MoveColumn() | DeleteColumn():
            return MANAGE_TEAM
        case CreateTeam() | DeleteTeam() | RedactHistory() | CloseColumn() | RepeatTask():
            return OWN_TEAM
        case _:
            assert_never(command)


def check_allowed(state: TeamState, command: AnyCommand, principal: Principal) -> None:
    """Raise NotFound("team") for strangers and for keys of another team, Forbidden when role or scopes do not suffice.

    The user who creates a team is its owner from the start. The system itself is no member: it may redact history, go
    on with a column that is closing or a series of tasks, and take somebody back whose account is not erased after all.
    """
    if isinstance(command, RedactHistory | CloseColumn | RepeatTask) or principal.kind == "system":
        _check_system(state, command, principal)
        return
    creating = isinstance(command, CreateTeam)
    role = "owner" if creating else state.role_of(principal.user_id)
    if principal.team_id is not None and (creating or state.team is None or state.team.id != principal.team_id):
        raise NotFound("team")
    check_right(role, principal, right_of(command, principal.user_id))


def _check_system(state: TeamState, command: AnyCommand, principal: Principal) -> None:
    if state.team is None:
        raise NotFound("team")
    if principal.kind != "system" or not isinstance(command, RedactHistory | CloseColumn | RepeatTask | AddMember):
        raise Forbidden("own_team")
    if state.ended and not isinstance(command, RedactHistory):
        raise NotFound("team")
