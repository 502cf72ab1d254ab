"""What the things are called that a chat's line names, as the team knows them now. For transactions of the worker's."""

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.transaction import Reading

__all__ = ["Known", "names_in"]


class Known(Struct, frozen=True):
    """Names by id, the zone in which the team says moments, and what the team is called."""

    names: Mapping[UUID, str]
    time_zone: str
    team: str


async def names_in(tx: Reading, team_id: UUID, ids: Collection[UUID]) -> Known:
    """The names of those of the ids that are or were people, columns, labels or tasks of the team."""
    team = await tx.fetchrow(_TEAM, team_id) or {"time_zone": "UTC", "name": ""}
    rows = await tx.fetch(_NAMES, team_id, list(ids))
    return Known({row["id"]: row["name"] for row in rows}, team["time_zone"], team["name"])


_TEAM: Final = "select time_zone, name from teams where id = $1"
_NAMES: Final = """
select user_id as id, name from former_members where team_id = $1 and user_id = any($2::uuid[])
union all select user_id, name from memberships where team_id = $1 and user_id = any($2::uuid[])
union all select id, name from columns where team_id = $1 and id = any($2::uuid[])
union all select id, name from labels where team_id = $1 and id = any($2::uuid[])
union all select id, title from tasks where team_id = $1 and id = any($2::uuid[])
"""
