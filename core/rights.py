"""Who may give which command: what the role in the team carries, as far as the scopes of the principal reach.

Closed over all commands.
"""

from typing import Final, assert_never
from uuid import UUID

from core.commands import (
    AddMember,
    AnyCommand,
    ArchiveTask,
    Batch,
    ChangeRole,
    CreateLabel,
    CreateTask,
    CreateTeam,
    DeleteLabel,
    DeleteTask,
    MoveTask,
    RemoveMember,
    RenameMember,
    RestoreTask,
    UpdateLabel,
    UpdateTask,
    UpdateTeam,
)
from core.errors import NotFound
from core.permissions import Right, check_right
from core.principal import Principal
from core.team import TeamState

__all__ = ["DELETE_TASKS", "WRITE_TASKS", "check_allowed", "right_of"]

WRITE_TASKS: Final = Right("write_tasks", "write")
DELETE_TASKS: Final = Right("delete_tasks", "admin")
MANAGE_LABELS: Final = Right("manage_labels", "write")
MANAGE_MEMBERS: Final = Right("manage_members", "admin")
MANAGE_TEAM: Final = Right("manage_team", "admin")
OWN_TEAM: Final = Right("own_team", "admin")
OWN_MEMBERSHIP: Final = Right("read", "admin")
"""Every member may leave and be renamed. A key needs the same scope for it as for the memberships of others."""


def right_of(command: AnyCommand, user_id: UUID) -> Right:
    """The right that a user needs for the command."""
    match command:
        case UpdateTask() | MoveTask() | CreateTask() | ArchiveTask() | RestoreTask() | Batch():
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
        case UpdateTeam():
            return MANAGE_TEAM
        case CreateTeam():
            return OWN_TEAM
        case _:
            assert_never(command)


def check_allowed(state: TeamState, command: AnyCommand, principal: Principal) -> None:
    """Raise NotFound("team") for strangers and for keys of another team, Forbidden when role or scopes do not suffice.

    The user who creates a team is its owner from the start.
    """
    creating = isinstance(command, CreateTeam)
    role = "owner" if creating else state.role_of(principal.user_id)
    if principal.team_id is not None and (creating or state.team is None or state.team.id != principal.team_id):
        raise NotFound("team")
    check_right(role, principal, right_of(command, principal.user_id))
