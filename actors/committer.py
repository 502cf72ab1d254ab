"""One committer per process: the changes of all teams go to the journal together, transaction after transaction.

One transaction is in flight at a time. While the database works on it, this process prepares the next one on top of
it, so that both work at the same time and the next one leaves as soon as the one before has landed (time runs to the
right):

    database        [ transaction 1 ]            [ transaction 2 ]            [ transaction 3 ]
    this process   S1   P2  P2  P2   L1     S2 C1   P3  P3  P3    L2     S3 C2   P4  P4         …

    P  prepare     sources decide the commands that wait, on forks of what is in flight; nobody sees anything of it
    S  send        the prepared batches are taken and handed to the journal as one transaction
    L  landed      the outcomes are here. A source whose writes did not commit concludes at once, before the next
                   transaction is put together: it withdraws the batch that it prepared on top of them
    C  conclude    the committed sources answer their callers, readers and feeds. That comes after the next send, or the
                   database would be idle for as long as it takes

So a fence that is broken in transaction 1 is never followed by a write that rests on it. When many changes arrive at
once and nothing is in flight, half of them are sent and the other half is prepared during that flight.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from actors.ports import Clock, Journal
from core.writes import CommitOutcome, Committed, TeamWrites

__all__ = ["ChangeSource", "Committer", "CommitterStatistics"]

MAX_TEAMS: Final = 256
"""Most teams in one transaction: bounds the statement's size and how many a broken one has to be retried for."""
MAX_EVENTS: Final = 2_048
"""Past this many events no further team joins a transaction: bounds how long preparing holds the event loop."""
MIN_TO_SPLIT: Final = 8
"""Fewer changes than this are not worth two transactions."""
TURNS_TO_LEAVE: Final = 2
"""Of the event loop, until a statement is in its socket: one to write it, one to flush what was written."""


class ChangeSource(Protocol):
    """One team's changes. No method may raise or wait.

    The committer calls `prepare` any number of times, then `take_writes`, and for each writes that it got, in their
    order, `conclude`.
    """

    @property
    def waiting(self) -> int:
        """How many changes are not prepared yet."""
        ...

    def prepare(self, most: int, now: datetime) -> int:
        """Decide up to `most` waiting changes at the time `now`, on top of what is in flight; how many these were."""
        ...

    def take_writes(self) -> TeamWrites | None:
        """What has been prepared, which leaves now; None when there is nothing to commit after all.

        Earlier writes of this source are durable by then, though it may not have concluded them yet.
        """
        ...

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        """Receive the outcome of the oldest writes; errors are those of `Journal.commit`."""
        ...


Taken = Sequence[tuple[ChangeSource, TeamWrites]]


class CommitterStatistics(Struct, frozen=True):
    """`transactions` sent, `batches` of teams and `events` in them; `widest`: most teams in one; batches `waiting`."""

    transactions: int
    batches: int
    events: int
    widest: int
    waiting: int


class Committer:
    """Takes the changes of sources that are offered, and runs them through the pipeline drawn above."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        # Both are queues of sources, first come first served; a dictionary keeps each source in there once.
        self._waiting: dict[ChangeSource, None] = {}
        self._prepared: dict[ChangeSource, None] = {}
        self._wake = asyncio.Event()
        self._in_flight = self._prepare_scheduled = False
        self._transactions = self._batches = self._events = self._widest = 0

    def offer(self, source: ChangeSource) -> None:
        """Have a source's changes prepared and committed, in the next transaction if there is room."""
        self._waiting[source] = None
        self._wake.set()
        self._schedule_prepare()

    async def commit(self, writes: TeamWrites) -> CommitOutcome:
        """The outcome of writes that are prepared already. Raises StorageUnavailable or CommitUnknown."""
        awaited = _AwaitedWrites(writes)
        self.offer(awaited)
        return await awaited.outcome

    async def run(self) -> None:
        """Serve until cancelled; the sources that then still wait conclude with the cancellation."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._commit_all()
        finally:
            left = self._prepared | self._waiting
            self._prepared, self._waiting = {}, {}
            _conclude(left, asyncio.CancelledError())

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
                _conclude(landed, Committed())
                landed = []

    # P: prepare, at once when nothing is in flight, else in the turns of the event loop during the flight

    def _schedule_prepare(self) -> None:
        if self._in_flight and self._waiting and not self._prepare_scheduled:
            self._prepare_scheduled = True
            asyncio.get_running_loop().call_soon(self._prepare_in_flight)

    def _prepare_in_flight(self) -> None:
        self._prepare_scheduled = False
        if self._in_flight:
            self._prepare(MAX_EVENTS)
            self._schedule_prepare()

    def _prepare(self, most: int) -> None:
        now = self._clock.now()
        while most > 0 and self._waiting:
            source = next(iter(self._waiting))
            del self._waiting[source]
            most -= source.prepare(most, now)
            self._prepared[source] = None
            if most <= 0 and source.waiting:
                self._waiting[source] = None

    # S, L and C: send, land, conclude

    def _take(self) -> Taken:
        """The batches of the next transaction.

        If nothing has been prepared yet, half of what waits is prepared now, and the other half while this transaction
        is in flight.
        """
        if self._waiting:
            self._prepare(MAX_EVENTS if self._prepared else self._half())
        taken: list[tuple[ChangeSource, TeamWrites]] = []
        events = 0
        for source in list(self._prepared):
            del self._prepared[source]
            writes = source.take_writes()
            if writes is not None:
                taken.append((source, writes))
                events += len(writes.events)
            if len(taken) >= MAX_TEAMS or events >= MAX_EVENTS:
                break
        return taken

    def _half(self) -> int:
        return max(MIN_TO_SPLIT, (sum([source.waiting for source in self._waiting]) + 1) // 2)

    async def _send(self, taken: Taken, landed: Sequence[ChangeSource]) -> list[ChangeSource]:
        """Commit `taken`, and conclude `landed` once it is on its way. Returns the sources that are committed now."""
        self._count(taken)
        batches = [writes for _, writes in taken]
        flight = asyncio.ensure_future(self._journal.commit(batches))
        try:
            await _conclude_when_sent(landed)
            self._schedule_prepare()
            outcomes = await flight
        except asyncio.CancelledError as cancelled:
            flight.cancel()
            await asyncio.gather(flight, return_exceptions=True)
            _conclude((source for source, _ in taken), cancelled)
            raise
        except Exception as failure:  # noqa: BLE001 (every source gets it, and knows what it means for its team)
            _conclude((source for source, _ in taken), failure)
            return []
        committed = []
        for source, writes in taken:
            outcome = outcomes[writes.team_id]
            if isinstance(outcome, Committed):
                committed.append(source)
            else:
                source.conclude(outcome)
        return committed

    def _count(self, taken: Taken) -> None:
        self._transactions += 1
        self._batches += len(taken)
        self._events += sum([len(writes.events) for _, writes in taken])
        self._widest = max(self._widest, len(taken))

    def statistics(self) -> CommitterStatistics:
        """A frozen picture of the work done."""
        waiting = len(self._waiting) + len(self._prepared)
        return CommitterStatistics(self._transactions, self._batches, self._events, self._widest, waiting)


async def _conclude_when_sent(landed: Sequence[ChangeSource]) -> None:
    """Answer what has landed as soon as the next statement has left, and also if this is cancelled before that."""
    try:
        for _ in range(TURNS_TO_LEAVE if landed else 0):
            await asyncio.sleep(0)
    finally:
        _conclude(landed, Committed())


def _conclude(sources: Iterable[ChangeSource], outcome: CommitOutcome | BaseException) -> None:
    for source in sources:
        source.conclude(outcome)


class _AwaitedWrites:
    """A source of writes that were prepared elsewhere, and whose outcome is awaited."""

    __slots__ = ("_writes", "outcome")

    def __init__(self, writes: TeamWrites) -> None:
        self._writes = writes
        self.outcome: asyncio.Future[CommitOutcome] = asyncio.get_running_loop().create_future()

    @property
    def waiting(self) -> int:
        return 0

    def prepare(self, _most: int, _now: datetime) -> int:
        return 1

    def take_writes(self) -> TeamWrites | None:
        return None if self.outcome.done() else self._writes

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        if self.outcome.done():
            return
        if isinstance(outcome, asyncio.CancelledError):
            self.outcome.cancel()
        elif isinstance(outcome, BaseException):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)
