"""A new name of a user's, carried to every team they are in: each team has one writer, so each is asked."""

import logging
from typing import Final
from uuid import UUID

import anyio

from api.services import Services
from core.ask import Ask
from core.commands import RenameMember
from core.errors import NotFound, StorageUnavailable, Unavailable
from core.principal import Principal
from db import readmodel

__all__ = ["Names"]

log = logging.getLogger(__name__)

AT_ONCE: Final = 8
SECONDS: Final = 2.0
"""How long one team may take."""
ROUNDS: Final = 10
"""Another change of the name may overtake this one: the last one to end looks again, but not for ever."""


class Names:
    """Brings the name that teams show of a user up to date with the account."""

    def __init__(self, services: Services) -> None:
        self._teams = services.teams
        self._pool = services.pools.api

    async def carry(self, principal: Principal, traceparent: str = "") -> None:
        """Ask each team that shows another name than the account's, as the user. Never fails.

        Teams that show the name already are not asked, so this may be repeated at any time. A team that cannot be
        reached keeps the older name until the next time, and holds up no other one.
        """
        ask = Ask(principal, traceparent=traceparent, deadline=SECONDS)
        for _ in range(ROUNDS):
            try:
                stale = await readmodel.teams_with_another_name(self._pool, principal.user_id)
            except StorageUnavailable as error:
                log.warning("a new name did not reach its teams: %s", error)
                return
            if not await self._rename(ask, stale.name, stale.team_ids):
                return

    async def _rename(self, ask: Ask, name: str, team_ids: list[UUID]) -> bool:
        """Whether any of the teams took the name."""
        taken, limiter = list[UUID](), anyio.CapacityLimiter(AT_ONCE)

        async def rename(team_id: UUID) -> None:
            async with limiter:
                try:
                    await self._teams.ask(team_id, RenameMember(name), ask)
                except NotFound:
                    return  # The user has left it meanwhile.
                except Unavailable as error:
                    log.warning("a new name did not reach a team: %s", error, extra={"team_id": str(team_id)})
                    return
                taken.append(team_id)

        async with anyio.create_task_group() as group:
            for team_id in team_ids:
                group.start_soon(rename, team_id)
        return bool(taken)
