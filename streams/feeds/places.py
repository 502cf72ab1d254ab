"""Where a reader of a feed starts: where the team stands, and whether what follows that place can be replayed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.errors import AheadOfHistory, NotFound, StorageUnavailable
from core.seq import Position
from core.writes import JournalPosition
from streams.feeds.frames import ResetReason
from streams.feeds.ports import History, Teams, View
from streams.settings import FeedSettings

__all__ = ["Places"]

LOOKS: Final = 4
"""So often is a team looked at again whose history was rewritten while it was looked at."""


class Places:
    """What the journal and the active teams say of places in a team's history. `now` is the time of day."""

    def __init__(self, history: History, settings: FeedSettings, now: Callable[[], datetime]) -> None:
        self._history = history
        self._settings = settings
        self._now = now

    async def stand(self, teams: Teams, team_id: UUID, after: Position | None) -> tuple[int, View]:
        """The team's head, and a view that is no older: such a one would miss that the user was removed in between.

        Both are of one history. A head of the one before would be taken for a place in this one, and whoever was
        before that place would miss what this one has there. Raises NotFound("team"), or an Unavailable.
        """
        for _ in range(LOOKS):
            found = await self._position(team_id)
            if after is not None and after.seq > found.seq and after.epoch == found.epoch:
                # Unless the client has made it up, the place was lost by a restore that nobody has noticed yet: were
                # the reader reset to what stands now, the new epoch would soon have to reset it again.
                await self._history.lose(team_id, found)
                found = await self._position(team_id)
            try:
                view = await teams.view(team_id, min_seq=found.seq, epoch=found.epoch)
            except AheadOfHistory:
                continue
            if view.epoch == found.epoch:
                return found.seq, view
        raise StorageUnavailable("The team's history is being rewritten; try again.")

    async def _position(self, team_id: UUID) -> JournalPosition:
        found = (await self._history.position([team_id])).get(team_id)
        if found is None:
            raise NotFound("team")
        return found

    async def obstacle(self, team_id: UUID, after: Position, head: int, epoch: int) -> ResetReason | None:
        """Why the events after a place cannot be replayed in full to a reader of a team at `head` of `epoch`."""
        if after.epoch is not None and after.epoch != epoch:
            return "epoch"
        if after.seq > head:
            return "ahead"
        if head - after.seq <= self._settings.retention_events:
            return None
        oldest = self._now() - timedelta(seconds=self._settings.retention_seconds)
        rows = await self._history.read(team_id, after.seq, 1)
        return None if rows and rows[0].at >= oldest else "expired"
