"""Who was a member of a team and is none any more. History names them, so the team goes on knowing their names.

The rows are written where memberships end: by a trigger in the transaction of the commit (migration 0016). Whoever
joins again is on this list no more.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.permissions import Role
from db.expressions import any_of, limited
from db.pool import Pool
from db.statements import columns, given, rows
from db.tables import FormerMembers
from db.transaction import reading

__all__ = ["FormerMember", "former_members", "former_names"]


class FormerMember(Struct, frozen=True):
    """A membership as it last was, and when it ended."""

    user_id: UUID
    role: Role
    name: str
    joined_at: datetime
    left_at: datetime

    @property
    def place(self) -> tuple[datetime, UUID]:
        """Where it stands among those of its team."""
        return (self.left_at, self.user_id)


async def former_members(
    pool: Pool, user_id: UUID, team_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[FormerMember]:
    """The former members of a team that the user is in, in the order they left. Raises StorageUnavailable."""
    async with reading(pool, user_id) as tx:
        if after is None:
            return await tx.all(_FIRST, team_id=team_id, limit=limit)
        left_at, last = after
        return await tx.all(_NEXT, team_id=team_id, left_at=left_at, same=left_at, last=last, limit=limit)


async def former_names(pool: Pool, user_id: UUID, team_id: UUID, former: Collection[UUID]) -> Mapping[UUID, str]:
    """What those of the users who have left the team were called there when they left. Raises StorageUnavailable."""
    if not former:
        return {}
    async with reading(pool, user_id) as tx:
        return dict(await tx.all(_NAMES, team_id=team_id, former=list(former)))


_OF_TEAM: Final = FormerMembers.team_id == given("team_id")
_COLUMNS: Final = columns(FormerMembers, FormerMember)
_FIRST: Final = rows(
    FormerMember,
    limited(
        FormerMembers.select(*_COLUMNS).where(_OF_TEAM).order_by(FormerMembers.left_at, FormerMembers.user_id),
        given("limit"),
    ),
)
_NEXT: Final = rows(
    FormerMember,
    limited(
        FormerMembers.select(*_COLUMNS)
        .where(
            _OF_TEAM,
            (FormerMembers.left_at > given("left_at"))
            | ((FormerMembers.left_at == given("same")) & (FormerMembers.user_id > given("last"))),
        )
        .order_by(FormerMembers.left_at, FormerMembers.user_id),
        given("limit"),
    ),
)
_NAMES: Final = rows(
    lambda user_id, name: (user_id, name),
    FormerMembers.select(FormerMembers.user_id, FormerMembers.name).where(
        _OF_TEAM, any_of(FormerMembers.user_id, given("former"))
    ),
)
