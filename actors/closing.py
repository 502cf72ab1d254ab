"""Goes on with a column that is being deleted when whoever has begun it does not: they are gone, or took too long."""

import asyncio
from typing import Final

from actors.envelope import CommandResult, Envelope
from core.ask import Ask
from core.commands import CloseColumn
from core.principal import Principal
from core.team import TeamState

__all__ = ["ClosingWatch"]

DEADLINE_SECONDS: Final = 10.0


class ClosingWatch:
    """Looks at a team now and then, and has the next step taken of a column in which nothing moved since last time."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: int | None = None
        """Tasks in the closing column at the last look."""

    def step(self, state: TeamState, now: float) -> Envelope | None:
        """What to ask the team for at `now` (monotonic seconds), if anything."""
        column = state.closing
        if column is None or column.closing_by is None:
            self._left = None
            return None
        left = len(state.places_in(column.id))
        if left != self._left:
            self._left = left
            return None
        self._left = None
        reply: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        # A refusal tells nobody: whatever it was due to, the next look finds out what is left to do.
        reply.add_done_callback(lambda done: done.cancelled() or done.exception())
        ask = Ask(Principal.of_system(column.closing_by))
        return Envelope(CloseColumn(column.id), ask, now + DEADLINE_SECONDS, None, reply)
