"""The team actor: what waits becomes one batch, is decided, committed behind the fence, and only then answered.

A plain batch costs no task: the committer's lane has the actor decide it when the lane is free and tells it what became
of it. Whatever needs to wait (activation, catching up, lost fences, archived tasks, unknown outcomes) runs as a task of
its own, turn by turn. Either way the actor is `_busy` with one thing at a time, so there is no lock in here; the fence
in Postgres keeps other processes honest.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from actors.board import TeamView
from actors.deciding import Decided
from actors.envelope import Envelope
from actors.mailbox import Mailbox, MailboxStatistics
from actors.replica import Replica
from actors.writer import First, World, Writer
from core.codec import Encoded
from core.errors import AheadOfHistory, NotFound, ShuttingDown, StorageUnavailable, TaskForgeError
from core.writes import CommitOutcome, Committed, TeamWrites

log = logging.getLogger(__name__)

BATCH: Final = 512
"""Most envelopes decided at once: bounds how long the event loop is held and how much a refused batch repeats."""
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
        self._flight: tuple[Decided, list[Envelope]] | None = None
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
        return not self._busy and not self._has_work()

    def tell(self, envelope: Envelope) -> None:
        """Queue a command. Raises Overloaded or KeyInFlight."""
        self._mailbox.put(envelope)
        self._wake()

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
        """Fail envelopes that wait past their deadline (monotonic seconds)."""
        self._mailbox.expire(now)

    def stop(self) -> None:
        """Refuse everything that still waits."""
        self._refuse_waiting(lambda: ShuttingDown("This server is shutting down."))

    async def save(self) -> None:
        """Store a snapshot of what is in memory, if anything changed since the last one."""
        if self.view is not None and self._unsaved():
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
        return bool(len(self._mailbox) or self._viewers or self._replica.behind)

    def _is_plain(self) -> bool:
        """Whether the next batch can be decided without waiting for anything."""
        return self.view is not None and not (self._viewers or self._writer.locked_turns or self._replica.behind)

    def _wake(self) -> None:
        self.used_at = self._world.clock.monotonic()
        self._go_on()

    def _go_on(self) -> None:
        """Start what waits, unless something is under way that will come back here."""
        if self._busy or not self._has_work():
            return
        self._busy = True
        if self._is_plain():
            self._world.committer.offer(self)
        else:
            self._world.spawn(self._drain([], None))

    # The plain way: called by the committer's lane

    def prepare(self) -> TeamWrites | None:
        """Decide what waits, now that the lane is free. What cannot be decided at once goes the long way."""
        batch = self._mailbox.take(BATCH, self._world.clock.monotonic()) if self._is_plain() else []
        decided = None
        if batch:
            try:
                decided = self._writer.decide_now(batch)
            except Exception:
                # A bug in one team's data must not stop the lane of all teams: the long way meets it again, alone.
                log.exception("a batch could not be decided", extra={"team_id": str(self.team_id)})
        if decided is None:
            self._world.spawn(self._drain(batch, None))
            return None
        self._flight = (decided[0], batch)
        return decided[1]

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        """The lane's answer. Committed ends here; everything else goes the long way."""
        if self._flight is None:
            self._busy = False
            self.stop()
            return
        (decided, batch), self._flight = self._flight, None
        if not isinstance(outcome, Committed):
            self._world.spawn(self._drain(batch, (decided, outcome)))
            return
        self._writer.finish(decided, batch)
        self._save_if_due()
        self._busy = False
        self._go_on()

    # The long way: a task of its own

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
        due = self._world.clock.monotonic() - self._saved_at >= SNAPSHOT_SECONDS
        if due and self._unsaved() >= self._world.settings.snapshot_every:
            self._world.spawn(self.save())

    def _changed(self) -> int:
        """Events applied since activation, by this process or another."""
        return self._writer.events + self._replica.learned

    def _unsaved(self) -> int:
        return self._changed() - self._saved_events

    def _refuse_waiting(self, error: Callable[[], TaskForgeError]) -> None:
        self._mailbox.fail_all(error)
        waiting, self._viewers = self._viewers, []
        for _, viewer in waiting:
            if not viewer.done():
                viewer.set_exception(error())
