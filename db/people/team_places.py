"""How many teams a user may own, whichever processes they are made by at the same moment.

A team is made by its own actor, which knows of no other team. So a place is taken first, here, under a lock of the
user's; it is given back when the team is there (and counts itself) or was refused. Whoever dies or loses the outcome in
between leaves a place that ends by itself, later than any command could still be made.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from piccolo.query.functions.aggregate import Count

from core.errors import DomainError, QuotaReached, StorageUnavailable
from db.expressions import NOW, ahead, limited
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, given, insert, values
from db.tables import Memberships
from db.tables import TeamPlaces as TeamPlaceTable
from db.transaction import writing

__all__ = ["TeamPlaces", "forget_left_places"]

log = logging.getLogger(__name__)

PLACE_SECONDS: Final = 60
"""No command waits as long as this: what was not made by then is not made any more."""


class TeamPlaces:
    """Takes a user's places for teams and gives them back. Raises StorageUnavailable."""

    def __init__(self, pool: Pool, most: int) -> None:
        self._pool = pool
        self._most = most

    @asynccontextmanager
    async def held(self, user_id: UUID, team_id: UUID) -> AsyncIterator[None]:
        """Make the team inside this block. Raises QuotaReached when the user owns as many, or is making them."""
        await self._take(user_id, team_id)
        try:
            yield
        except DomainError:
            await self._give_back(user_id, team_id)
            raise
        await self._give_back(user_id, team_id)

    async def _take(self, user_id: UUID, team_id: UUID) -> None:
        async with writing(self._pool, user_id) as tx:
            await tx.alone(f"teams of {user_id}")
            # In this order: a team that appears between the two is counted twice, and never not at all.
            making = await tx.one(_MAKING, user_id=user_id) or 0
            owned = await tx.one(_OWNED, user_id=user_id) or 0
            if making + owned >= self._most:
                raise QuotaReached(
                    "teams-per-user", self._most, f"You own {self._most} teams, and may not create more."
                )
            await tx.run(_TAKE, user_id=user_id, team_id=team_id, seconds=float(PLACE_SECONDS))

    async def _give_back(self, user_id: UUID, team_id: UUID) -> None:
        """The team's outcome is known and stands, whether or not this works."""
        try:
            async with writing(self._pool, user_id) as tx:
                await tx.run(_GIVE_BACK, team_id=team_id)
        except StorageUnavailable as error:
            log.warning("a place for a team is held until it ends: %s", error)


async def forget_left_places(pool: Pool) -> int:
    """Delete places that ended; how many. For the worker pool. Raises StorageUnavailable."""
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, limit=limit))


_MAKING: Final = values(
    int,
    TeamPlaceTable.select(Count()).where(
        TeamPlaceTable.user_id == given("user_id"),
        TeamPlaceTable.expires_at > NOW,
        TeamPlaceTable.team_id.not_in(
            Memberships.select(Memberships.team_id).where(Memberships.user_id == given("user_id"))
        ),
    ),
)
_OWNED: Final = values(
    int, Memberships.select(Count()).where(Memberships.user_id == given("user_id"), Memberships.role == "owner")
)
_TAKE: Final = change(
    insert(TeamPlaceTable, team_id=given("team_id"), user_id=given("user_id"), expires_at=ahead(given("seconds")))
)
_GIVE_BACK: Final = change(TeamPlaceTable.delete().where(TeamPlaceTable.team_id == given("team_id")))
_FORGET: Final = change(
    TeamPlaceTable.delete().where(
        TeamPlaceTable.team_id.is_in(
            limited(
                TeamPlaceTable.select(TeamPlaceTable.team_id).where(TeamPlaceTable.expires_at < NOW), given("limit")
            )
        )
    )
)
