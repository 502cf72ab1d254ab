"""The team actor: what waits becomes one batch, is prepared, committed behind the fence, and only then answered.

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

from actors.active_team import ActiveTeam
from actors.board import TeamView
from actors.envelope import Envelope
from actors.mailbox import Mailbox, MailboxStatistics
from actors.prepared_batch import PreparedBatch
from actors.slow_path import BATCH, ActorContext, FirstAttempt, SlowPath
from core.codec import Encoded
from core.errors import AheadOfHistory, NotFound, ShuttingDown, StorageUnavailable, TaskForgeError
from core.writes import CommitOutcome, Committed, TeamWrites

log = logging.getLogger(__name__)

SNAPSHOT_SECONDS: Final = 10.0
"""A hot team is snapshotted at most this often."""


class ActorStatistics(Struct, frozen=True):
    """`batches` prepared, `events` committed, `fences` lost to other processes, `replays` answered from stored keys."""

    seq: int
    batches: int
    events: int
    fences: int
    replays: int
    mailbox: MailboxStatistics


class TeamActor:
    """One team's single writer in this process; it forgets itself when the team turns out not to exist."""

    def __init__(self, team_id: UUID, context: ActorContext, *, fresh: bool = False) -> None:
        self.team_id = team_id
        self._team = ActiveTeam(team_id, context.journal, context.snapshots, fresh=fresh)
        self.used_at = context.clock.monotonic()
        self._context = context
        self._mailbox = Mailbox(context.settings.mailbox_size)
        self._slow_path = SlowPath(team_id, context, self._team, self._mailbox)
        self._busy = False
        self._offered = False
        """Whether the committer is going to call `prepare`."""
        self._prepared: PreparedBatch | None = None
        self._in_flight: deque[PreparedBatch] = deque()
        self._viewers: list[tuple[int, asyncio.Future[TeamView]]] = []
        self._saved_events = 0
        self._saved_at = context.clock.monotonic()

    @property
    def view(self) -> TeamView | None:
        """The committed board, while the team is in memory."""
        return self._team.view

    @property
    def seq(self) -> int:
        """The seq in memory; 0 before activation."""
        return self._team.seq

    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not (self._busy or self._prepared or self._in_flight or self._has_work())

    def enqueue(self, envelope: Envelope) -> None:
        """Queue a command. Raises Overloaded or KeyInFlight."""
        self._mailbox.put(envelope)
        if not self._offered:
            self._continue()

    def view_at(self, min_seq: int) -> "asyncio.Future[TeamView]":
        """The view at `min_seq` or later; fails with NotFound, or with Unavailable when storage cannot be reached."""
        viewer: asyncio.Future[TeamView] = asyncio.get_running_loop().create_future()
        self._viewers.append((min_seq, viewer))
        self._wake()
        return viewer

    def absorb(self, events: Sequence[Encoded]) -> None:
        """Other workers' events, in order; what is known is skipped, a gap is fetched from the journal."""
        if self.view is not None or self._busy:
            self._team.receive(events)
            self._wake()

    def catch_up_to(self, seq: int) -> None:
        """The journal is at `seq`: catch up if that is news."""
        if self.view is not None and seq > self.seq:
            self._team.note_position(seq)
            self._wake()

    def expire(self, now: float) -> None:
        """Fail envelopes that wait past their deadline (monotonic seconds), unless they are in flight."""
        if self._prepared is not None and any(envelope.deadline < now for envelope in self._prepared.batch):
            self._take_back()
        self._mailbox.expire(now)
        self._continue()

    def stop(self) -> None:
        """Refuse everything that still waits."""
        self._refuse_waiting(lambda: ShuttingDown("This server is shutting down."))

    async def save(self) -> None:
        """Store a snapshot of what is in memory, if anything changed since the last one."""
        if self.view is not None and self._changed() > self._saved_events:
            self._saved_events, self._saved_at = self._changed(), self._context.clock.monotonic()
            await self._context.snapshots.put(self.view.state.detach())

    def statistics(self) -> ActorStatistics:
        """A frozen picture of this actor."""
        return ActorStatistics(
            self.seq,
            self._slow_path.batches,
            self._slow_path.events,
            self._slow_path.fences,
            self._slow_path.replays,
            self._mailbox.statistics(),
        )

    def _has_work(self) -> bool:
        return bool(self._mailbox.waiting or self._viewers or self._team.is_behind)

    def _fits_fast_path(self) -> bool:
        """Whether the next batch can be decided without waiting for anything."""
        team = self._team
        return team.view is not None and not (self._viewers or self._slow_path.locked_turns or team.is_behind)

    def _wake(self) -> None:
        self.used_at = self._context.clock.monotonic()
        self._continue()

    def _continue(self) -> None:
        """Start what waits, unless something is under way that will come back here."""
        if self._busy or not self._has_work():
            return
        if self._fits_fast_path():
            self._offered = True
            self._context.committer.offer(self)
        elif self._prepared is None and not self._in_flight:
            self._take_slow_path([], None)

    # The fast path: called by the committer

    @property
    def waiting(self) -> int:
        """Changes in the mailbox."""
        return len(self._mailbox.waiting)

    def prepare(self, most: int, now: datetime) -> int:
        """Decide what waits, on top of what is decided already. What cannot be decided at once goes the long way."""
        self._offered = False
        if self._busy or not self._fits_fast_path() or (self._prepared is not None and self._prepared.needs_slow_path):
            if self._prepared is None:
                self._continue()
            return 0
        room = BATCH if self._prepared is None else BATCH - len(self._prepared.batch)
        self.used_at = self._context.clock.monotonic()
        batch = self._mailbox.take(min(most, room), self.used_at)
        if not batch:
            return 0
        prepared = self._prepared
        if prepared is None:
            below = self._in_flight[-1].state if self._in_flight else self._team.state()
            prepared = self._prepared = PreparedBatch(self.team_id, below)
        try:
            prepared.add(batch, now, self._context.new_id)
            prepared.needs_slow_path = bool(prepared.stale) or prepared.task_missing
        except Exception:
            # A bug in one team's data must not stop the transactions of all: the long way meets it again, alone.
            log.exception("a batch could not be decided", extra={"team_id": str(self.team_id)})
            prepared.needs_slow_path = True
        return len(batch)

    def writes(self) -> TeamWrites | None:
        """What has been prepared, now on its way."""
        prepared = self._prepared
        if prepared is None:
            return None
        writes = None
        if not (prepared.needs_slow_path or prepared.empty):
            try:
                writes = prepared.writes()
            except Exception:
                log.exception("a batch could not be written", extra={"team_id": str(self.team_id)})
        if writes is None:
            prepared.needs_slow_path = True
            self._divert_when_landed()
            return None
        self._prepared = None
        self._in_flight.append(prepared)
        self._slow_path.batches += 1
        if self._mailbox.waiting and not self._offered:
            self._continue()
        return writes

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        """What became of the oldest flight. Committed ends here; everything else goes the long way."""
        if not self._in_flight:
            self.stop()
            return
        prepared = self._in_flight.popleft()
        if isinstance(outcome, Committed):
            self._slow_path.finish(prepared)
            self._slow_path.release(prepared.batch)
            self._save_if_due()
            self._divert_when_landed()
            if not self._offered:
                self._continue()
            return
        self._take_back()
        self._take_slow_path(prepared.batch, (prepared, outcome))

    def _take_back(self) -> None:
        """What has been decided and not sent waits again, first in the mailbox."""
        if self._prepared is not None:
            self._mailbox.put_back(self._prepared.batch)
            self._prepared = None

    def _divert_when_landed(self) -> None:
        """Once nothing is in flight any more, for what could not be committed plainly."""
        if self._prepared is not None and self._prepared.needs_slow_path and not self._in_flight:
            batch, self._prepared = self._prepared.batch, None
            self._take_slow_path(batch, None)

    # The slow path: a task of its own

    def _take_slow_path(self, batch: list[Envelope], first: FirstAttempt | None) -> None:
        self._busy, self.used_at = True, self._context.clock.monotonic()
        self._context.spawn(self._drain(batch, first))

    async def _drain(self, batch: list[Envelope], first: FirstAttempt | None) -> None:
        """Finish `batch`, then turn after turn until the rest is plain. A crash forgets the state, to be reloaded."""
        try:
            if batch:
                await self._slow_path.work(batch, first)
            while self._has_work() and not self._fits_fast_path():
                await self._turn()
        except NotFound as unknown:
            self._context.forget(self.team_id)
            what = unknown.what
            self._refuse_waiting(lambda: NotFound(what))
        except TaskForgeError as error:
            self._team.forget()
            detail = error.detail
            self._refuse_waiting(lambda: StorageUnavailable(detail))
        except Exception:
            log.exception("team actor crashed", extra={"team_id": str(self.team_id)})
            self._team.forget()
            self._refuse_waiting(lambda: StorageUnavailable("The team had to be reloaded; try again."))
        finally:
            self._busy = False
        self._continue()

    async def _turn(self) -> None:
        if self.view is None:
            await self._team.activate()
        await self._team.catch_up(max((seq for seq, _ in self._viewers), default=0))
        self._show_viewers(self._team.current())
        if self._slow_path.locked_turns and (batch := self._mailbox.take(BATCH, self._context.clock.monotonic())):
            await self._slow_path.work(batch)
        elif self._slow_path.locked_turns:
            self._slow_path.locked_turns = 0
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
        if self._changed() - self._saved_events < self._context.settings.snapshot_every:
            return
        if self._context.clock.monotonic() - self._saved_at >= SNAPSHOT_SECONDS:
            self._context.spawn(self.save())

    def _changed(self) -> int:
        """Events applied since activation, by this process or another."""
        return self._slow_path.events + self._team.received_events

    def _refuse_waiting(self, error: Callable[[], TaskForgeError]) -> None:
        self._take_back()
        self._mailbox.fail_all(error)
        waiting, self._viewers = self._viewers, []
        for _, viewer in waiting:
            if not viewer.done():
                viewer.set_exception(error())
