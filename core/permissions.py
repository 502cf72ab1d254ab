"""Who may do what in a team. Roles live in the team aggregate, never in a token; scopes only take away from them.

`MATRIX` is the one table; `docs/permissions.md` and the sweep over all endpoints (`tests/api/test_access.py`) are made
from it and from `core/rights.py`.
"""

from typing import Final, Literal, get_args

from msgspec import Struct

from core.errors import Forbidden
from core.principal import Principal, Scope

__all__ = [
    "MATRIX",
    "PERMISSIONS",
    "ROLES",
    "Permission",
    "PermissionRow",
    "Right",
    "Role",
    "allows",
    "check_right",
    "check_scope",
    "may_grant",
]

Role = Literal["owner", "admin", "member", "viewer"]
Permission = Literal[
    "read",
    "write_tasks",
    "delete_tasks",
    "manage_labels",
    "manage_members",
    "manage_team",
    "read_audit",
    "own_team",
]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""Each may do all that the ones after it may."""


class PermissionRow(Struct, frozen=True):
    """One line of the matrix: the least role that carries a permission, and what it is for."""

    permission: Permission
    least: Role
    about: str


MATRIX: Final = (
    PermissionRow("read", "viewer", "See the team: its board, tasks, members, labels, events and feeds. Leave it."),
    PermissionRow("write_tasks", "member", "Create, change, move, archive and restore tasks; comment on them."),
    PermissionRow("delete_tasks", "admin", "Delete tasks for good, and comments of others."),
    PermissionRow("manage_labels", "member", "Create, change and delete labels."),
    PermissionRow("manage_members", "admin", "Invite people, give them other roles and remove them."),
    PermissionRow("manage_team", "admin", "Change the team's settings."),
    PermissionRow("read_audit", "admin", "See who changed what."),
    PermissionRow("own_team", "owner", "Make owners of others, and take ownership from them. Delete the team."),
)


def _carries(role: Role, row: PermissionRow) -> bool:
    return ROLES.index(role) <= ROLES.index(row.least)


PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    role: frozenset(row.permission for row in MATRIX if _carries(role, row)) for role in ROLES
}


def allows(role: Role, permission: Permission) -> bool:
    """Whether `role` carries `permission`."""
    return permission in PERMISSIONS[role]


class Right(Struct, frozen=True):
    """What something takes: a permission, which comes with the role, and a scope, which every session has."""

    permission: Permission
    scope: Scope


def check_right(role: Role, principal: Principal, right: Right) -> None:
    """Raise Forbidden unless the role carries the permission and the principal has the scope."""
    if not allows(role, right.permission):
        raise Forbidden(right.permission)
    check_scope(principal, right.scope, right.permission)


def check_scope(principal: Principal, scope: Scope, permission: str) -> None:
    """Raise Forbidden, naming what it would take the permission for, unless the principal has the scope."""
    if scope not in principal.scopes:
        raise Forbidden(permission, f"This API key does not have the scope {scope}.")


def may_grant(granter: Role, role: Role) -> bool:
    """Whether a `granter` may grant, change or take away `role`: owners any, admins all but owner."""
    return granter == "owner" or (granter == "admin" and role != "owner")
