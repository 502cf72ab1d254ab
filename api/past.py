"""Boards of the past as answers."""

import asyncio
from uuid import UUID

from actors.board import TeamView
from actors.ports import Representation
from actors.slices import in_slices
from api.access import Access
from api.answers import Answer
from api.calls import Call
from api.etags import fresh, not_modified, team_headers
from api.services import Services
from core.seq import Position

__all__ = ["PastReads"]


class PastReads:
    """Reads the boards of teams as they were."""

    def __init__(self, services: Services, representation: Representation) -> None:
        self._access, self._past, self._shown = Access(services), services.past, representation

    async def board(self, call: Call, team_id: UUID, as_of: Position) -> Answer:
        """The whole board as it was at a place that the team has reached, in its epoch.

        What it was changes only when something is forgotten for good, which is an event: so its ETag names the team's
        newest one. Raises NotFound, AheadOfHistory, HistoryRewritten, an Unavailable.
        """
        view = await self._access.team(call, team_id, at=as_of)
        etag = b'"%d.%d-%d"' % (view.epoch, view.seq, as_of.seq)
        if fresh(call, etag):
            return not_modified(call, etag)
        headers = team_headers(call, etag)
        async with self._past.at(call.principal().user_id, team_id, as_of.seq) as state:
            joined = await in_slices(TeamView(state).join_in_slices(self._shown))
            body = await asyncio.to_thread(self._shown.board, state.seq, state.epoch, joined.columns)
        return Answer(200, body, headers)
