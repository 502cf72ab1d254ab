"""Steps cursors while the next round is read and published: its commit would otherwise be a third of every round.

One step is on its way at a time, and a round that is published waits until the step before its own has ended. So the
topic is never more than two rounds ahead of the cursors, which is what a relay that takes over looks for in the topic.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from core.errors import StorageUnavailable
from db.journal import relay_cursors as cursors
from db.journal.relay_cursors import Move
from db.pool import Pool

__all__ = ["Steps"]


class Steps:
    """The steps of one relay, in order, in a task of `group`. `doubt` hears of teams whose cursor may be anywhere."""

    def __init__(self, pool: Pool, group: TaskGroup, doubt: Callable[[Collection[UUID]], None]) -> None:
        self._pool, self._group, self._doubt = pool, group, doubt
        self._ahead: dict[UUID, int] = {}
        self._failure: StorageUnavailable | None = None
        self._ended = anyio.Event()
        self._ended.set()

    @property
    def ahead(self) -> Mapping[UUID, int]:
        """By team the seq that its cursor is being stepped to: what is read next begins behind it."""
        return self._ahead

    async def take(self, moves: Sequence[Move], then: Callable[[], None]) -> None:
        """Begin a step once the last one has ended; `then` is called when it is committed.

        A cursor that is not where the step begins, because somebody set it back, stays there.
        Raises StorageUnavailable when the last step failed: then this one is not begun.
        """
        await self.settle()
        self._ahead = {move.team_id: move.new for move in moves}
        self._ended = anyio.Event()
        self._group.start_soon(self._step, moves, then)

    async def settle(self) -> None:
        """Wait until no step is on its way. Raises StorageUnavailable when the last one failed, once."""
        await self._ended.wait()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def _step(self, moves: Sequence[Move], then: Callable[[], None]) -> None:
        try:
            await cursors.advance(self._pool, moves)
            then()
        except StorageUnavailable as error:
            self._doubt([move.team_id for move in moves])
            self._failure = error
        finally:
            self._ahead = {}
            self._ended.set()
