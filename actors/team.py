"""The team actor: one team's mailbox, and the two paths on which its commands become durable and get their answers.

         enqueue         prepare                take_writes           conclude
    ask ────────► mailbox ─────► prepared batch ───────────► in flight ────────► committed: ActiveTeam.adopt
                     ▲              │       │                    │
                     └── withdraw ──┘       │ needs_slow_path    │ any other outcome
                         when what it       ▼                    ▼
                         rests on was    slow path: SlowPath.run, then turn after turn
                         not committed   until the rest fits the fast path again

The fast path costs no task: the committer calls `prepare` (decide what waits, on a fork of what is in flight),
`take_writes` (the batch leaves with the next transaction) and `conclude` (its outcome), as drawn in `committer.py`.
Whatever has to be awaited (activation, catching up, a lost fence, archived tasks, an unknown outcome) is the slow path,
a task of its own. It begins only when nothing is in flight, and nothing is sent before it ends, so there is no lock in
here; the fence in Postgres keeps other processes out.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from actors.active_team import ActiveTeam
from actors.board import TeamView
from actors.closing import ClosingWatch
from actors.context import ActorContext
from actors.envelope import NOT_KNOWN, Envelope
from actors.mailbox import Mailbox, MailboxStatistics
from actors.prepared_batch import PreparedBatch
from actors.slow_path import BATCH, FirstAttempt, SlowPath
from core.codec import Encoded
from core.errors import AheadOfHistory, NotFound, ShuttingDown, StorageUnavailable, TaskForgeError
from core.writes import CommitOutcome, Committed, JournalPosition, TeamWrites

__all__ = ["ActorStatistics", "TeamActor"]

log = logging.getLogger(__name__)


class ActorStatistics(Struct, frozen=True):
    """`batches` prepared, `events` committed, `fences` lost to other processes, `replays` answered from stored keys."""

    seq: int
    batches: int
    events: int
    fences: int
    replays: int
    mailbox: MailboxStatistics


class TeamActor:
    """One team's single writer in this process; it has itself forgotten when the team turns out not to exist."""

    def __init__(self, team_id: UUID, context: ActorContext, *, fresh: bool = False) -> None:
        self.team_id = team_id
        self.used_at = context.clock.monotonic()
        self._context = context
        self._mailbox = Mailbox(context.settings.mailbox_size)
        self._team = ActiveTeam(team_id, context, fresh=fresh)
        self._slow_path = SlowPath(team_id, context, self._team, self._mailbox)
        self._on_slow_path = False
        self._offered = False
        """Whether the committer is going to call `prepare`."""
        self._prepared: PreparedBatch | None = None
        self._in_flight: deque[PreparedBatch] = deque()
        """Oldest first. There are two while the older one has landed and the newer one has just been sent."""
        self._viewers: list[tuple[int, asyncio.Future[TeamView]]] = []
        self._closing = ClosingWatch()
        self._batches = 0

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
        return not (self._on_slow_path or self._prepared or self._in_flight or self._has_work())

    def enqueue(self, envelope: Envelope) -> None:
        """Queue a command. Raises Overloaded or KeyInFlight."""
        self._mailbox.put(envelope)
        if not self._offered:
            self._start_next()

    def view_at(self, min_seq: int) -> "asyncio.Future[TeamView]":
        """The view at `min_seq` or later; fails with NotFound, or with Unavailable when storage cannot be reached."""
        viewer: asyncio.Future[TeamView] = asyncio.get_running_loop().create_future()
        self._viewers.append((min_seq, viewer))
        self._wake()
        return viewer

    def absorb(self, events: Sequence[Encoded]) -> None:
        """Apply other workers' events, in order; known ones are skipped, a gap is read from the journal."""
        if self.view is not None or self._on_slow_path:
            self._team.receive(events)
            self._wake()

    def catch_up_to(self, seq: int) -> None:
        """The journal is at `seq`: read what is missing, if that is news."""
        if self.view is not None and seq > self.seq:
            self._team.note_position(seq)
            self._wake()

    def compare(self, seen: int, now: JournalPosition) -> None:
        """The journal is at `now`. `seen` was the seq in memory before it was asked: it cannot be behind that."""
        if self.view is None:
            return
        if now.epoch != self.view.epoch or now.seq < seen:
            self._team.note_lost()
            self._wake()
        else:
            self.catch_up_to(now.seq)

    def _wake(self) -> None:
        self.used_at = self._context.clock.monotonic()
        self._start_next()

    def _start_next(self) -> None:
        """Put what waits on its path, unless something is under way that will come back here."""
        if self._on_slow_path or not self._has_work():
            return
        if self._fits_fast_path():
            self._offered = True
            self._context.committer.offer(self)
        elif self._prepared is None and not self._in_flight:
            self._take_slow_path([], None)

    def _has_work(self) -> bool:
        return bool(self._mailbox.waiting or self._viewers or self._team.is_behind)

    def _fits_fast_path(self) -> bool:
        """Whether the next batch can be decided without awaiting anything."""
        team = self._team
        return team.view is not None and not (self._viewers or self._slow_path.locked_turns or team.is_behind)

    # The fast path, called by the committer: this class is one of its `ChangeSource`s.

    @property
    def waiting(self) -> int:
        """Changes in the mailbox."""
        return len(self._mailbox.waiting)

    def prepare(self, most: int, now: datetime) -> int:
        """Decide up to `most` of what waits, on top of what is prepared or in flight; how many these were."""
        self._offered = False
        prepared = self._prepared
        if self._on_slow_path or not self._fits_fast_path() or (prepared is not None and prepared.needs_slow_path):
            # What is in the way comes first; `conclude` or the slow path's end will offer the rest again.
            if prepared is None:
                self._start_next()
            return 0
        room = BATCH if prepared is None else BATCH - len(prepared.batch)
        self.used_at = self._context.clock.monotonic()
        batch = self._mailbox.take(min(most, room), self.used_at)
        if not batch:
            return 0
        if prepared is None:
            base = self._in_flight[-1].state if self._in_flight else self._team.current().state
            prepared = self._prepared = PreparedBatch(self.team_id, base)
        try:
            prepared.add(batch, now, self._context.new_id, self._context.quotas, self._context.zones)
            prepared.needs_slow_path = prepared.task_missing or bool(prepared.stale)
        except Exception:
            # A bug in one team's data must not stop the transactions of all: the slow path meets it again, alone.
            log.exception("a batch could not be decided", extra={"team_id": str(self.team_id)})
            prepared.needs_slow_path = True
        return len(batch)

    def take_writes(self) -> TeamWrites | None:
        """The writes of what has been prepared, which is in flight from now on; None when it takes the slow path."""
        prepared = self._prepared
        if prepared is None:
            return None
        writes = self._writes_of(prepared)
        if writes is None:
            prepared.needs_slow_path = True
            self._divert_prepared()
            return None
        self._prepared = None
        self._in_flight.append(prepared)
        self._batches += 1
        if self._mailbox.waiting and not self._offered:
            self._start_next()
        return writes

    def _writes_of(self, prepared: PreparedBatch) -> TeamWrites | None:
        # A batch that writes nothing cannot be answered yet either: its refusals rest on a state that the journal,
        # written by others meanwhile, may have left behind. The slow path confirms it.
        if prepared.needs_slow_path or prepared.empty:
            return None
        try:
            return prepared.writes()
        except Exception:
            log.exception("a batch could not be written", extra={"team_id": str(self.team_id)})
            return None

    def conclude(self, outcome: CommitOutcome | BaseException) -> None:
        """The outcome of the oldest flight. Committed is the end of the fast path; all else takes the slow path."""
        if not self._in_flight:
            self.stop()
            return
        prepared = self._in_flight.popleft()
        if not isinstance(outcome, Committed):
            self._withdraw_prepared()
            self._take_slow_path(prepared.batch, (prepared, outcome))
            return
        self._team.adopt(prepared)
        self._mailbox.release(prepared.batch)
        self._team.save_if_due()
        self._divert_prepared()
        if not self._offered:
            self._start_next()

    def _withdraw_prepared(self) -> None:
        """What has been prepared and not sent waits again, first in the mailbox."""
        if self._prepared is not None:
            self._mailbox.put_back(self._prepared.batch)
            self._prepared = None

    def _divert_prepared(self) -> None:
        """Put a prepared batch that needs it on the slow path, once nothing is in flight any more."""
        if self._prepared is not None and self._prepared.needs_slow_path and not self._in_flight:
            batch, self._prepared = self._prepared.batch, None
            self._take_slow_path(batch, None)

    # The slow path: a task of its own.

    def _take_slow_path(self, batch: list[Envelope], first: FirstAttempt | None) -> None:
        self._on_slow_path, self.used_at = True, self._context.clock.monotonic()
        self._context.spawn(self._drain(batch, first))

    async def _drain(self, batch: list[Envelope], first: FirstAttempt | None) -> None:
        """Finish `batch`, then turn after turn until the rest fits the fast path.

        After a crash the state is forgotten and loaded again by the next turn.
        """
        try:
            if batch:
                await self._slow_path.run(batch, first)
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
            self._on_slow_path = False
        self._start_next()

    async def _turn(self) -> None:
        """Whatever stands in the fast path's way: activate, catch up, serve viewers, write under the row lock."""
        if self.view is None:
            await self._team.activate()
        viewers = self._viewers[:]
        await self._team.catch_up(max((seq for seq, _ in viewers), default=0))
        self._serve_viewers(self._team.current(), len(viewers))
        if self._slow_path.locked_turns and (batch := self._mailbox.take(BATCH, self._context.clock.monotonic())):
            await self._slow_path.run(batch)
        elif self._slow_path.locked_turns:
            self._slow_path.locked_turns = 0
        self._team.save_if_due()

    def _serve_viewers(self, view: TeamView, number: int) -> None:
        """Serve the first so many. Who came later may wait for a seq that nobody has looked for yet."""
        waiting, self._viewers = self._viewers[:number], self._viewers[number:]
        for min_seq, viewer in waiting:
            if viewer.done():
                continue
            if view.seq >= min_seq:
                viewer.set_result(view)
            else:
                viewer.set_exception(AheadOfHistory(min_seq, view.seq))

    # Deadlines, the end, and what the system wants to know

    def expire(self, now: float) -> None:
        """Fail envelopes past their deadline (monotonic seconds); of those in flight the outcome stays unknown."""
        if self._prepared is not None and any(envelope.deadline < now for envelope in self._prepared.batch):
            self._withdraw_prepared()
        self._mailbox.expire(now)
        for prepared in self._in_flight:
            for envelope in prepared.batch:
                envelope.expire(now, NOT_KNOWN)
        self._slow_path.expire(now)
        self._go_on_closing(now)
        self._start_next()

    def _go_on_closing(self, now: float) -> None:
        """Have a column that is being deleted go on, unless there is anything else to do just now."""
        if self.view is None or not self.is_idle():
            return
        step = self._closing.step(self.view.state, now)
        if step is not None:
            self._mailbox.put(step)

    def stop(self) -> None:
        """Refuse everything that still waits."""
        self._refuse_waiting(lambda: ShuttingDown("This server is shutting down."))

    def _refuse_waiting(self, error: Callable[[], TaskForgeError]) -> None:
        self._withdraw_prepared()
        self._mailbox.fail_all(error)
        waiting, self._viewers = self._viewers, []
        for _, viewer in waiting:
            if not viewer.done():
                viewer.set_exception(error())

    async def save(self) -> None:
        """Store a snapshot of what is in memory, if anything changed since the last one."""
        await self._team.save()

    def weigh(self) -> int:
        """Roughly how many bytes the team holds in memory; costs O(tasks that changed since it was last weighed)."""
        return 0 if self.view is None else self.view.weigh()

    def pieces(self) -> list[list[Any]]:
        """What the team's board is made of, for whoever lets go of it; see `TeamView.pieces`."""
        return [] if self.view is None else self.view.pieces()

    def statistics(self) -> ActorStatistics:
        """A frozen picture of this actor."""
        return ActorStatistics(
            self.seq,
            self._batches + self._slow_path.attempts,
            self._team.committed_events,
            self._slow_path.fences,
            self._slow_path.replays,
            self._mailbox.statistics(),
        )
