"""Boards of the past as answers."""

import asyncio
from uuid import UUID

from actors.board import TeamView, drop_in_slices
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
            past = TeamView(state)
            body = await self._body(past)
            # A large board that is let go of in one go would hold the event loop.
            pieces = past.pieces()
            del state, past
            await in_slices(drop_in_slices(pieces))
        return Answer(200, body, headers)

    async def _body(self, past: TeamView) -> bytes:
        joined = await in_slices(past.join_in_slices(self._shown))
        return await asyncio.to_thread(self._shown.board, past.seq, past.epoch, joined.columns)
