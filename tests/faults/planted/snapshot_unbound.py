"""A snapshot that is not ahead of the journal is taken for its past, whichever history it is of."""

from actors.active_team import ActiveTeam
from actors.board import TeamView


async def activate(self: ActiveTeam) -> TeamView:
    now = await self._settled_position()
    state = await self._context.snapshots.get(self.team_id)
    if state is not None and 0 < state.seq <= now.seq:
        state.epoch = now.epoch
    else:
        state = await self._load()
    self.view = TeamView(state)
    self.note_position(now.seq)
    return self.view


ActiveTeam.activate = activate  # type: ignore[method-assign]
