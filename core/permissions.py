"""Who may do what in a team. Roles live in the team aggregate, never in a token; scopes only take away from them."""

from typing import Final, Literal, get_args

from msgspec import Struct

from core.errors import Forbidden
from core.principal import Principal, Scope

Role = Literal["owner", "admin", "member", "viewer"]
Permission = Literal[
    "read", "write_tasks", "delete_tasks", "manage_labels", "manage_members", "manage_team", "own_team"
]

ROLES: Final[tuple[Role, ...]] = get_args(Role)

_VIEWER: Final[frozenset[Permission]] = frozenset({"read"})
_MEMBER: Final[frozenset[Permission]] = frozenset({*_VIEWER, "write_tasks", "manage_labels"})
_ADMIN: Final[frozenset[Permission]] = frozenset({*_MEMBER, "delete_tasks", "manage_members", "manage_team"})

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    "viewer": _VIEWER,
    "member": _MEMBER,
    "admin": _ADMIN,
    "owner": frozenset({*_ADMIN, "own_team"}),
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
