"""One committer per process: the changes of all teams go to the journal together, transaction after transaction."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from actors.ports import Clock, Journal
from core.writes import CommitOutcome, Committed, TeamWrites

MAX_TEAMS: Final = 256
"""Most teams in one transaction: bounds the statement's size and how many a broken one has to be retried for."""
MAX_EVENTS: Final = 2_048
"""Past this many events no further team joins a transaction: bounds how long deciding holds the event loop."""
MIN_TO_SPLIT: Final = 8
"""Fewer changes than this are not worth two transactions."""
TURNS_TO_LEAVE: Final = 2
"""Of the event loop, until a statement is in its socket: one to write it, one to flush what was written."""


class ChangeSource(Protocol):
    """Somebody with changes for one team. No method may raise or wait."""

    @property
    def waiting(self) -> int:
        """How many changes are not decided yet."""
        ...

    def prepare(self, most: int, now: datetime) -> int:
        """Decide up to `most` waiting changes, made at `now`, on top of what is in flight; gives how many that were."""
        ...

    def writes(self) -> TeamWrites | None:
        """What has been decided, which leaves now; None when there is nothing to commit after all.

        Earlier writes of this source are durable by then, though it may not have been told yet.
        """
        ...

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        """What became of the oldest writes; errors are those of `Journal.commit`."""
        ...


class CommitterStatistics(Struct, frozen=True):
    """`transactions` sent, `batches` of teams and `events` in them; `widest`: most teams in one; batches `waiting`."""

    transactions: int
    batches: int
    events: int
    widest: int
    waiting: int


class Committer:
    """One transaction at a time; while one is in flight, the next one is decided on top of it and leaves as it lands.

    So the database and this process work at the same time. What the next one decides rests on changes that are not
    durable yet: a team whose writes did not commit is told before anything else of it could leave.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._waiting: dict[ChangeSource, None] = {}
        self._prepared: dict[ChangeSource, None] = {}
        self._wake = asyncio.Event()
        self._in_flight = self._prepare_scheduled = False
        self._transactions = self._batches = self._events = self._widest = 0

    def offer(self, source: ChangeSource) -> None:
        """Have a source's changes decided and committed, in the next transaction if there is room."""
        self._waiting[source] = None
        self._wake.set()
        self._schedule_prepare()

    async def commit(self, writes: TeamWrites) -> CommitOutcome:
        """The outcome of writes that are decided already. Raises StorageUnavailable or CommitUnknown."""
        awaited = _AwaitedWrites(writes)
        self.offer(awaited)
        return await awaited.done

    async def run(self) -> None:
        """Serve until cancelled; what is then still waiting is cancelled with it."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._commit_all()
        finally:
            left = self._prepared | self._waiting
            self._prepared, self._waiting = {}, {}
            for source in left:
                source.conclude(asyncio.CancelledError())

    async def _commit_all(self) -> None:
        """Transaction after transaction, until there is nothing to commit."""
        landed: list[ChangeSource] = []
        while landed or self._prepared or self._waiting:
            if taken := self._take():
                self._in_flight = True
                try:
                    landed = await self._send(taken, landed)
                finally:
                    self._in_flight = False
            else:
                _conclude_committed(landed)
                landed = []

    def _take(self) -> list[tuple[ChangeSource, TeamWrites]]:
        """What goes into the next transaction.

        When nothing has been decided ahead it is half of what waits: the rest is decided while that is in flight.
        """
        if self._waiting:
            self._prepare(MAX_EVENTS if self._prepared else self._half())
        taken: list[tuple[ChangeSource, TeamWrites]] = []
        events = 0
        for source in list(self._prepared):
            del self._prepared[source]
            writes = source.writes()
            if writes is not None:
                taken.append((source, writes))
                events += len(writes.events)
            if len(taken) >= MAX_TEAMS or events >= MAX_EVENTS:
                break
        return taken

    def _half(self) -> int:
        return max(MIN_TO_SPLIT, (sum([source.waiting for source in self._waiting]) + 1) // 2)

    def _prepare(self, most: int) -> None:
        now = self._clock.now()
        while most > 0 and self._waiting:
            source = next(iter(self._waiting))
            del self._waiting[source]
            most -= source.prepare(most, now)
            self._prepared[source] = None
            if most <= 0 and source.waiting:
                self._waiting[source] = None

    def _schedule_prepare(self) -> None:
        if self._in_flight and self._waiting and not self._prepare_scheduled:
            self._prepare_scheduled = True
            asyncio.get_running_loop().call_soon(self._prepare_ahead)

    def _prepare_ahead(self) -> None:
        self._prepare_scheduled = False
        if self._in_flight:
            self._prepare(MAX_EVENTS)
            self._schedule_prepare()

    async def _send(
        self, taken: Sequence[tuple[ChangeSource, TeamWrites]], landed: Sequence[ChangeSource]
    ) -> list[ChangeSource]:
        """Commit `taken`; tell `landed` of theirs once it is on its way. Gives whoever is committed and not told."""
        batches = [writes for _, writes in taken]
        self._transactions += 1
        self._batches += len(batches)
        self._events += sum(len(writes.events) for writes in batches)
        self._widest = max(self._widest, len(batches))
        flight = asyncio.ensure_future(self._journal.commit(batches))
        try:
            try:
                for _ in range(TURNS_TO_LEAVE if landed else 0):
                    await asyncio.sleep(0)
            finally:
                _conclude_committed(landed)
            self._schedule_prepare()
            outcomes = await flight
        except asyncio.CancelledError as cancelled:
            flight.cancel()
            await asyncio.gather(flight, return_exceptions=True)
            for source, _ in taken:
                source.conclude(cancelled)
            raise
        except Exception as failure:  # noqa: BLE001 (every source gets it and decides what it means)
            for source, _ in taken:
                source.conclude(failure)
            return []
        committed = []
        for source, writes in taken:
            outcome = outcomes[writes.team_id]
            if isinstance(outcome, Committed):
                committed.append(source)
            else:
                source.conclude(outcome)
        return committed

    def statistics(self) -> CommitterStatistics:
        """A frozen picture of the work done."""
        waiting = len(self._waiting) + len(self._prepared)
        return CommitterStatistics(self._transactions, self._batches, self._events, self._widest, waiting)


def _conclude_committed(committed: Iterable[ChangeSource]) -> None:
    for source in committed:
        source.conclude(Committed())


class _AwaitedWrites:
    """Writes that somebody waits for."""

    __slots__ = ("_writes", "done")

    def __init__(self, writes: TeamWrites) -> None:
        self._writes = writes
        self.done: asyncio.Future[CommitOutcome] = asyncio.get_running_loop().create_future()

    @property
    def waiting(self) -> int:
        return 0

    def prepare(self, _most: int, _now: datetime) -> int:
        return 1

    def writes(self) -> TeamWrites | None:
        return None if self.done.done() else self._writes

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        if self.done.done():
            return
        if isinstance(outcome, asyncio.CancelledError):
            self.done.cancel()
        elif isinstance(outcome, BaseException):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)
