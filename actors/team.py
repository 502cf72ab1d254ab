"""The team actor: what waits becomes one batch, is decided, committed behind the fence, and only then answered.

A plain batch costs no task: the committer has the actor decide what waits, on top of what it has in flight, takes that
when the transaction before has landed, and tells the actor what became of it. Whatever needs to wait (activation,
catching up, lost fences, archived tasks, unknown outcomes) runs as a task of its own, turn by turn. The long way begins
when nothing is in flight and nothing flies before it ends, so there is no lock in here; the fence in Postgres keeps
other processes honest.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from actors.active_team import Replica
from actors.board import TeamView
from actors.envelope import Envelope
from actors.mailbox import Mailbox, MailboxStatistics
from actors.prepared_batch import Decided
from actors.slow_path import BATCH, First, World, Writer
from core.codec import Encoded
from core.errors import AheadOfHistory, NotFound, ShuttingDown, StorageUnavailable, TaskForgeError
from core.writes import CommitOutcome, Committed, TeamWrites

log = logging.getLogger(__name__)

SNAPSHOT_SECONDS: Final = 10.0
"""A hot team is snapshotted at most this often."""


class ActorStatistics(Struct, frozen=True):
    """`batches` decided, `events` committed, `fences` lost to other processes, `replays` answered from stored keys."""

    seq: int
    batches: int
    events: int
    fences: int
    replays: int
    mailbox: MailboxStatistics


class TeamActor:
    """One team's single writer in this process; it forgets itself when the team turns out not to exist."""

    def __init__(self, team_id: UUID, world: World, *, fresh: bool = False) -> None:
        self.team_id = team_id
        self._replica = Replica(team_id, world.journal, world.snapshots, fresh=fresh)
        self.used_at = world.clock.monotonic()
        self._world = world
        self._mailbox = Mailbox(world.settings.mailbox_size)
        self._writer = Writer(team_id, world, self._replica, self._mailbox)
        self._busy = False
        self._offered = False
        """Whether the committer is going to call `decide`."""
        self._open: Decided | None = None
        self._flights: deque[Decided] = deque()
        self._viewers: list[tuple[int, asyncio.Future[TeamView]]] = []
        self._saved_events = 0
        self._saved_at = world.clock.monotonic()

    @property
    def view(self) -> TeamView | None:
        """The committed board, while the team is in memory."""
        return self._replica.view

    @property
    def seq(self) -> int:
        """The seq in memory; 0 before activation."""
        return self._replica.seq

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not (self._busy or self._open or self._flights or self._has_work())

    def tell(self, envelope: Envelope) -> None:
        """Queue a command. Raises Overloaded or KeyInFlight."""
        self._mailbox.put(envelope)
        if not self._offered:
            self._go_on()

    def show(self, min_seq: int) -> "asyncio.Future[TeamView]":
        """The view at `min_seq` or later; fails with NotFound, or with Unavailable when storage cannot be reached."""
        viewer: asyncio.Future[TeamView] = asyncio.get_running_loop().create_future()
        self._viewers.append((min_seq, viewer))
        self._wake()
        return viewer

    def absorb(self, events: Sequence[Encoded]) -> None:
        """Other workers' events, in order; what is known is skipped, a gap is fetched from the journal."""
        if self.view is not None or self._busy:
            self._replica.hear(events)
            self._wake()

    def behind(self, seq: int) -> None:
        """The journal is at `seq`: catch up if that is news."""
        if self.view is not None and seq > self.seq:
            self._replica.hear_position(seq)
            self._wake()

    def expire(self, now: float) -> None:
        """Fail envelopes that wait past their deadline (monotonic seconds), unless they are in flight."""
        if self._open is not None and any(envelope.deadline < now for envelope in self._open.batch):
            self._take_back()
        self._mailbox.expire(now)
        self._go_on()

    def stop(self) -> None:
        """Refuse everything that still waits."""
        self._refuse_waiting(lambda: ShuttingDown("This server is shutting down."))

    async def save(self) -> None:
        """Store a snapshot of what is in memory, if anything changed since the last one."""
        if self.view is not None and self._changed() > self._saved_events:
            self._saved_events, self._saved_at = self._changed(), self._world.clock.monotonic()
            await self._world.snapshots.put(self.view.state.detach())

    def statistics(self) -> ActorStatistics:
        """A frozen picture of this actor."""
        return ActorStatistics(
            self.seq,
            self._writer.batches,
            self._writer.events,
            self._writer.fences,
            self._writer.replays,
            self._mailbox.statistics(),
        )

    def _has_work(self) -> bool:
        return bool(self._mailbox.waiting or self._viewers or self._replica.behind)

    def _is_plain(self) -> bool:
        """Whether the next batch can be decided without waiting for anything."""
        replica = self._replica
        return replica.view is not None and not (self._viewers or self._writer.locked_turns or replica.behind)

    def _wake(self) -> None:
        self.used_at = self._world.clock.monotonic()
        self._go_on()

    def _go_on(self) -> None:
        """Start what waits, unless something is under way that will come back here."""
        if self._busy or not self._has_work():
            return
        if self._is_plain():
            self._offered = True
            self._world.committer.offer(self)
        elif self._open is None and not self._flights:
            self._go_the_long_way([], None)

    # The plain way: called by the committer

    @property
    def waiting(self) -> int:
        """Changes in the mailbox."""
        return len(self._mailbox.waiting)

    def decide(self, most: int, now: datetime) -> int:
        """Decide what waits, on top of what is decided already. What cannot be decided at once goes the long way."""
        self._offered = False
        if self._busy or not self._is_plain() or (self._open is not None and not self._open.plain):
            if self._open is None:
                self._go_on()
            return 0
        room = BATCH if self._open is None else BATCH - len(self._open.batch)
        self.used_at = self._world.clock.monotonic()
        batch = self._mailbox.take(min(most, room), self.used_at)
        if not batch:
            return 0
        decided = self._open
        if decided is None:
            below = self._flights[-1].state if self._flights else self._replica.state()
            decided = self._open = Decided(self.team_id, below)
        try:
            decided.add(batch, now, self._world.new_id)
            decided.plain = not (decided.stale or decided.missing)
        except Exception:
            # A bug in one team's data must not stop the transactions of all: the long way meets it again, alone.
            log.exception("a batch could not be decided", extra={"team_id": str(self.team_id)})
            decided.plain = False
        return len(batch)

    def writes(self) -> TeamWrites | None:
        """What has been decided, now on its way."""
        decided = self._open
        if decided is None:
            return None
        writes = None
        if decided.plain and not decided.empty:
            try:
                writes = decided.writes()
            except Exception:
                log.exception("a batch could not be written", extra={"team_id": str(self.team_id)})
        if writes is None:
            decided.plain = False
            self._leave_the_plain_way()
            return None
        self._open = None
        self._flights.append(decided)
        self._writer.batches += 1
        if self._mailbox.waiting and not self._offered:
            self._go_on()
        return writes

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        """What became of the oldest flight. Committed ends here; everything else goes the long way."""
        if not self._flights:
            self.stop()
            return
        decided = self._flights.popleft()
        if isinstance(outcome, Committed):
            self._writer.finish(decided)
            self._writer.release(decided.batch)
            self._save_if_due()
            self._leave_the_plain_way()
            if not self._offered:
                self._go_on()
            return
        self._take_back()
        self._go_the_long_way(decided.batch, (decided, outcome))

    def _take_back(self) -> None:
        """What has been decided and not sent waits again, first in the mailbox."""
        if self._open is not None:
            self._mailbox.put_back(self._open.batch)
            self._open = None

    def _leave_the_plain_way(self) -> None:
        """Once nothing is in flight any more, for what could not be committed plainly."""
        if self._open is not None and not self._open.plain and not self._flights:
            batch, self._open = self._open.batch, None
            self._go_the_long_way(batch, None)

    # The long way: a task of its own

    def _go_the_long_way(self, batch: list[Envelope], first: First | None) -> None:
        self._busy, self.used_at = True, self._world.clock.monotonic()
        self._world.spawn(self._drain(batch, first))

    async def _drain(self, batch: list[Envelope], first: First | None) -> None:
        """Finish `batch`, then turn after turn until the rest is plain. A crash forgets the state, to be reloaded."""
        try:
            if batch:
                await self._writer.work(batch, first)
            while self._has_work() and not self._is_plain():
                await self._turn()
        except NotFound as unknown:
            self._world.forget(self.team_id)
            what = unknown.what
            self._refuse_waiting(lambda: NotFound(what))
        except TaskForgeError as error:
            self._replica.forget()
            detail = error.detail
            self._refuse_waiting(lambda: StorageUnavailable(detail))
        except Exception:
            log.exception("team actor crashed", extra={"team_id": str(self.team_id)})
            self._replica.forget()
            self._refuse_waiting(lambda: StorageUnavailable("The team had to be reloaded; try again."))
        finally:
            self._busy = False
        self._go_on()

    async def _turn(self) -> None:
        view = self.view or await self._replica.activate()
        await self._replica.catch_up(max((seq for seq, _ in self._viewers), default=0))
        self._show_viewers(view)
        if self._writer.locked_turns and (batch := self._mailbox.take(BATCH, self._world.clock.monotonic())):
            await self._writer.work(batch)
        elif self._writer.locked_turns:
            self._writer.locked_turns = 0
        self._save_if_due()

    def _show_viewers(self, view: TeamView) -> None:
        waiting, self._viewers = self._viewers, []
        for min_seq, viewer in waiting:
            if viewer.done():
                continue
            if view.seq >= min_seq:
                viewer.set_result(view)
            else:
                viewer.set_exception(AheadOfHistory(min_seq, view.seq))

    def _save_if_due(self) -> None:
        if self._changed() - self._saved_events < self._world.settings.snapshot_every:
            return
        if self._world.clock.monotonic() - self._saved_at >= SNAPSHOT_SECONDS:
            self._world.spawn(self.save())

    def _changed(self) -> int:
        """Events applied since activation, by this process or another."""
        return self._writer.events + self._replica.learned

    def _refuse_waiting(self, error: Callable[[], TaskForgeError]) -> None:
        self._take_back()
        self._mailbox.fail_all(error)
        waiting, self._viewers = self._viewers, []
        for _, viewer in waiting:
            if not viewer.done():
                viewer.set_exception(error())
