"""One committer per process: every team's decided batch that waits goes to the journal in one transaction."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from actors.ports import Journal
from core.writes import CommitOutcome, TeamWrites

LANE_TEAMS = 256
"""Most teams in one transaction: bounds the statement's size and how many a broken one has to be retried for."""


class CommitterStatistics(Struct, frozen=True):
    """`transactions` sent, `batches` of teams and `events` in them; `widest`: most teams in one; batches `waiting`."""

    transactions: int
    batches: int
    events: int
    widest: int
    waiting: int


class Committer:
    """Takes at most one batch per team at a time (the actor sees to that) and answers each with its outcome.

    `lanes` transactions may be under way at once; a second one added nothing in the design's experiments.
    """

    def __init__(self, journal: Journal, lanes: int = 1) -> None:
        self._journal = journal
        self._lanes = lanes
        self._waiting: list[tuple[TeamWrites, asyncio.Future[CommitOutcome]]] = []
        self._wake = asyncio.Event()
        self._transactions = self._batches = self._events = self._widest = 0

    async def commit(self, writes: TeamWrites) -> CommitOutcome:
        """The outcome of this team's batch. Raises StorageUnavailable or CommitUnknown like `Journal.commit`."""
        done: asyncio.Future[CommitOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((writes, done))
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Serve until cancelled; what is then still waiting is cancelled with it."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._lanes):
                    group.create_task(self._lane())
        finally:
            for _, done in self._waiting:
                done.cancel()
            self._waiting.clear()

    async def _lane(self) -> None:
        while True:
            await self._wake.wait()
            taken, self._waiting = self._waiting[:LANE_TEAMS], self._waiting[LANE_TEAMS:]
            if not self._waiting:
                self._wake.clear()
            if taken:
                await self._send(taken)

    async def _send(self, taken: Sequence[tuple[TeamWrites, "asyncio.Future[CommitOutcome]"]]) -> None:
        batches = [writes for writes, _ in taken]
        self._transactions += 1
        self._batches += len(batches)
        self._events += sum(len(writes.events) for writes in batches)
        self._widest = max(self._widest, len(batches))
        outcomes: dict[UUID, CommitOutcome] = {}
        error: BaseException | None = None
        try:
            outcomes = dict(await self._journal.commit(batches))
        except asyncio.CancelledError:
            for _, done in taken:
                done.cancel()
            raise
        except Exception as failure:  # noqa: BLE001 (every waiting actor gets it and decides what it means)
            error = failure
        for writes, done in taken:
            if done.done():
                continue
            if error is None:
                done.set_result(outcomes[writes.team_id])
            else:
                done.set_exception(error)

    def statistics(self) -> CommitterStatistics:
        """A frozen picture of the work done."""
        return CommitterStatistics(self._transactions, self._batches, self._events, self._widest, len(self._waiting))
