"""Who may do what in a team. Roles live in the team aggregate, never in a token."""

from typing import Final, Literal, get_args

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


def may_grant(granter: Role, role: Role) -> bool:
    """Whether somebody of `granter` may give, change or take away `role`: owners any, admins all but owner."""
    return granter == "owner" or (granter == "admin" and role != "owner")
