"""One committer per process: whatever teams are ready when a lane is free go to the journal in one transaction."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from actors.ports import Journal
from core.writes import CommitOutcome, TeamWrites

LANE_TEAMS: Final = 256
"""Most teams in one transaction: bounds the statement's size and how many a broken one has to be retried for."""
LANE_EVENTS: Final = 2_048
"""Past this many events no further team joins a transaction: bounds how long deciding holds the event loop."""


class Source(Protocol):
    """Somebody with writes for one team. Neither method may raise or wait."""

    def prepare(self) -> TeamWrites | None:
        """The writes, decided now that the lane is free; None when there is nothing to commit after all."""
        ...

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        """What became of the writes; errors are those of `Journal.commit`."""
        ...


class CommitterStatistics(Struct, frozen=True):
    """`transactions` sent, `batches` of teams and `events` in them; `widest`: most teams in one; batches `waiting`."""

    transactions: int
    batches: int
    events: int
    widest: int
    waiting: int


class Committer:
    """Takes at most one batch per team at a time (the actor sees to that) and tells each what became of it.

    Sources decide when the lane takes them, not when they are offered: what arrives meanwhile is in the batch too.
    `lanes` transactions may be under way at once; a second one added nothing in the design's experiments.
    """

    def __init__(self, journal: Journal, lanes: int = 1) -> None:
        self._journal = journal
        self._lanes = lanes
        self._waiting: list[Source] = []
        self._wake = asyncio.Event()
        self._transactions = self._batches = self._events = self._widest = 0

    def offer(self, source: Source) -> None:
        """Have a lane take this source as soon as one is free."""
        self._waiting.append(source)
        self._wake.set()

    async def commit(self, writes: TeamWrites) -> CommitOutcome:
        """The outcome of writes that are decided already. Raises StorageUnavailable or CommitUnknown."""
        decided = _Decided(writes)
        self.offer(decided)
        return await decided.done

    async def run(self) -> None:
        """Serve until cancelled; what is then still waiting is cancelled with it."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._lanes):
                    group.create_task(self._lane())
        finally:
            waiting, self._waiting = self._waiting, []
            for source in waiting:
                source.conclude(asyncio.CancelledError())

    async def _lane(self) -> None:
        while True:
            await self._wake.wait()
            taken = self._take()
            if not self._waiting:
                self._wake.clear()
            if taken:
                await self._send(taken)

    def _take(self) -> list[tuple[Source, TeamWrites]]:
        """What goes into the next transaction, in the order it was offered."""
        taken: list[tuple[Source, TeamWrites]] = []
        events = seen = 0
        for source in self._waiting:
            seen += 1
            writes = source.prepare()
            if writes is not None:
                taken.append((source, writes))
                events += len(writes.events)
            if len(taken) >= LANE_TEAMS or events >= LANE_EVENTS:
                break
        self._waiting = self._waiting[seen:]
        return taken

    async def _send(self, taken: Sequence[tuple[Source, TeamWrites]]) -> None:
        batches = [writes for _, writes in taken]
        self._transactions += 1
        self._batches += len(batches)
        self._events += sum(len(writes.events) for writes in batches)
        self._widest = max(self._widest, len(batches))
        try:
            outcomes = await self._journal.commit(batches)
        except asyncio.CancelledError as cancelled:
            for source, _ in taken:
                source.conclude(cancelled)
            raise
        except Exception as failure:  # noqa: BLE001 (every source gets it and decides what it means)
            for source, _ in taken:
                source.conclude(failure)
        else:
            for source, writes in taken:
                source.conclude(outcomes[writes.team_id])

    def statistics(self) -> CommitterStatistics:
        """A frozen picture of the work done."""
        return CommitterStatistics(self._transactions, self._batches, self._events, self._widest, len(self._waiting))


class _Decided:
    """Writes that somebody waits for."""

    __slots__ = ("done", "writes")

    def __init__(self, writes: TeamWrites) -> None:
        self.writes = writes
        self.done: asyncio.Future[CommitOutcome] = asyncio.get_running_loop().create_future()

    def prepare(self) -> TeamWrites | None:
        return None if self.done.done() else self.writes

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        if self.done.done():
            return
        if isinstance(outcome, asyncio.CancelledError):
            self.done.cancel()
        elif isinstance(outcome, BaseException):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)
