"""What the document shows of teams, their people, labels and history. All examples are about one team, Ada's."""

from typing import Any, Final

from api.endpoints.task_docs import TASK, TEAM_ID
from core.permissions import MATRIX, allows

__all__ = ["AUDIT", "INVITATION", "JOINED", "LABEL", "LINK", "MEMBER", "TEAM", "page"]

ADA: Final = "019a3b1e-5b00-7000-8000-000000000001"
GRACE: Final = "019a3b1e-5b00-7000-8000-000000000002"


def page(*items: Any) -> dict[str, Any]:
    """A list's answer that has these and no further page."""
    return {"items": list(items), "next_cursor": None}


TEAM: Final = {
    "id": TEAM_ID,
    "name": "Engineering",
    "key": "ENG",
    "wip": "warn",
    "time_zone": "Europe/Berlin",
    "created_by": ADA,
    "created_at": "2026-02-01T08:00:00Z",
    "updated_at": "2026-02-01T08:30:00Z",
    "version": 4,
    "my_role": "owner",
    "permissions": [row.permission for row in MATRIX if allows("owner", row.permission)],
}
MEMBER: Final = {"user_id": GRACE, "role": "member", "name": "Grace Hopper", "joined_at": "2026-02-01T08:15:00Z"}
JOINED: Final = {"team_id": TEAM_ID, **MEMBER}
LABEL: Final = {"id": "019a3b1e-6000-7000-8000-0000000000b1", "name": "bug", "color": "#d73a4a"}
INVITATION: Final = {
    "id": "019a3b1e-6100-7000-8000-0000000000c1",
    "email": "grace@example.com",
    "role": "member",
    "invited_by": ADA,
    "valid": True,
    "created_at": "2026-02-01T08:10:00Z",
    "expires_at": "2026-02-08T08:10:00Z",
    "max_uses": 1,
    "uses": 0,
}
LINK: Final = {**INVITATION, "email": None, "token": "tfi_…"}
AUDIT: Final = {
    "seq": 117,
    "at": "2026-02-02T10:30:00Z",
    "actor": {"id": ADA, "name": "Ada Lovelace"},
    "actor_kind": "user",
    "via": None,
    "type": "task.updated",
    "subject": TASK["id"],
    "changed": ["priority"],
    "redacted": False,
}
