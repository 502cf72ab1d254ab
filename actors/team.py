"""The team actor: takes what waits as one batch, decides it, has it committed behind the fence, then answers.

It runs only while there is work: one task per drain, none while idle. Everything a turn touches belongs to this actor
alone, so there is no lock in here; the fence in Postgres keeps other processes honest.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from actors.board import TeamView
from actors.committer import Committer
from actors.deciding import Decided, NewId, archived_ids
from actors.envelope import Envelope, Outcome
from actors.mailbox import Mailbox, MailboxStatistics
from actors.ports import Clock, Feed, Journal, LockedTeam, Snapshots
from actors.replica import Replica
from actors.settings import ActorSettings
from core.codec import Encoded
from core.errors import (
    AheadOfHistory,
    Conflict,
    DomainError,
    FieldConflict,
    KeyReused,
    NotFound,
    ShuttingDown,
    StaleVersion,
    StorageUnavailable,
    TaskForgeError,
)
from core.writes import Committed, CommitUnknown, FenceBroken, KeyRow, KeysTaken, Rejected

log = logging.getLogger(__name__)

BATCH: Final = 512
"""Most envelopes decided at once: bounds how long the event loop is held and how much a refused batch repeats."""
LOCKED_TURNS: Final = 16
"""After a lost fence this many batches go straight under the row lock: the other writer is likely still there."""
SNAPSHOT_SECONDS: Final = 10.0
"""A hot team is snapshotted at most this often."""
UNKNOWN_TRIES: Final = 5
UNKNOWN_PAUSE = 0.1
"""Seconds before the second look at an unknown outcome; doubled each time."""


class World(Struct, frozen=True):
    """What every actor of a process shares. `spawn` runs a coroutine under its task group."""

    journal: Journal
    snapshots: Snapshots
    feed: Feed
    clock: Clock
    new_id: NewId
    committer: Committer
    settings: ActorSettings
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    forget: Callable[[UUID], None]


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
        self._running = False
        self._viewers: list[tuple[int, asyncio.Future[TeamView]]] = []
        self._locked_turns = 0
        self._saved_events = 0
        self._saved_at = world.clock.monotonic()
        self._batches = self._events = self._fences = self._replays = 0

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
        return not self._running and not self._has_work()

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
        if self.view is not None or self._running:
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
            self.seq, self._batches, self._events, self._fences, self._replays, self._mailbox.statistics()
        )

    def _has_work(self) -> bool:
        return bool(len(self._mailbox) or self._viewers or self._replica.behind)

    def _wake(self) -> None:
        self.used_at = self._world.clock.monotonic()
        if not self._running:
            self._running = True
            self._world.spawn(self._drain())

    async def _drain(self) -> None:
        """Turn after turn until nothing waits. A crash fails what waits and forgets the state: the next one reloads."""
        try:
            while self._has_work():
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
            self._running = False

    async def _turn(self) -> None:
        view = self.view or await self._replica.activate()
        await self._replica.catch_up(max((seq for seq, _ in self._viewers), default=0))
        self._show_viewers(view)
        batch = self._mailbox.take(BATCH, self._world.clock.monotonic())
        if batch:
            await self._work(batch)
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

    # Batches

    async def _work(self, batch: list[Envelope]) -> None:
        """Bring every envelope of the batch to an answer, in as many attempts as other processes make necessary."""
        waiting = batch
        try:
            while waiting:
                self._batches += 1
                waiting = await (self._attempt_locked(waiting) if self._locked_turns else self._attempt(waiting))
        except TaskForgeError as error:
            for envelope in waiting:
                envelope.fail(error)
            if isinstance(error, _OutcomeUnknown):
                raise
        except BaseException:
            for envelope in waiting:
                envelope.fail(StorageUnavailable("The change could not be made; its outcome is not known."))
            raise
        finally:
            for envelope in batch:
                self._mailbox.release(envelope)

    async def _attempt(self, batch: list[Envelope]) -> list[Envelope]:
        """One optimistic try; gives the envelopes that need another one."""
        decided = await self._decide(batch)
        if decided.empty:
            return await self._confirm(decided, batch)
        try:
            outcome = await self._world.committer.commit(decided.writes())
        except CommitUnknown:
            return await self._settle_unknown(decided, batch)
        return await self._conclude(decided, batch, outcome)

    async def _attempt_locked(self, batch: list[Envelope]) -> list[Envelope]:
        """One try that cannot lose its fence: lock, read what is missing, decide, commit, in one transaction."""
        async with self._world.journal.lock(self.team_id) as locked:
            missed = await self._read_missed(locked)
            self._locked_turns = LOCKED_TURNS if missed else self._locked_turns - 1
            decided = await self._decide(batch)
            if decided.empty:
                self._answer(decided)
                return []
            try:
                outcome = await locked.commit(decided.writes())
            except CommitUnknown:
                outcome = None
        if outcome is None:
            return await self._settle_unknown(decided, batch)
        return await self._conclude(decided, batch, outcome)

    async def _read_missed(self, locked: LockedTeam) -> bool:
        seq = self._replica.seq
        if locked.seq == seq:
            return False
        await self._replica.advance_rows(await locked.read(seq))
        return True

    async def _decide(self, batch: Sequence[Envelope]) -> Decided:
        state = self._replica.current().state
        decided = Decided(self.team_id, state)
        if wanted := archived_ids(batch, state):
            for task in await self._world.journal.archived_tasks(self.team_id, wanted):
                decided.state.archived.put(task.id, task)
        now, new_id = self._world.clock.now(), self._world.new_id
        for envelope in batch:
            decided.add(envelope, now, new_id)
        for _, stale in decided.refusals():
            await self._explain(stale)
        return decided

    async def _explain(self, stale: StaleVersion) -> None:
        """Fill in, from the journal, the fields that both sides changed since the version the client saw."""
        if not stale.yours:
            return
        base: dict[str, Any] = {}
        for row in await self._world.journal.task_history(self.team_id, stale.task_id, stale.expected):
            previous = msgspec.json.decode(row.payload, type=_Previous).previous
            base = {**previous, **base}
        stale.conflicts = tuple(
            FieldConflict(name, base[name], stale.theirs.get(name), yours)
            for name, yours in stale.yours.items()
            if name in base
        )

    async def _confirm(self, decided: Decided, batch: list[Envelope]) -> list[Envelope]:
        """Refusals and changes of nothing write nothing, but they are only true if nobody else wrote meanwhile."""
        seq = (await self._world.journal.position([self.team_id])).get(self.team_id, 0)
        if seq == decided.base.seq:
            self._answer(decided)
            return []
        await self._replica.catch_up(seq)
        return batch

    async def _conclude(
        self, decided: Decided, batch: list[Envelope], outcome: "Committed | FenceBroken | KeysTaken | Rejected"
    ) -> list[Envelope]:
        match outcome:
            case Committed():
                self._commit_done(decided)
                return []
            case FenceBroken():
                self._fences += 1
                self._locked_turns = LOCKED_TURNS
                return batch
            case KeysTaken(hits=hits):
                return self._answer_from_keys(batch, hits)
            case Rejected(constraint=constraint):
                return await self._isolate(batch, constraint)

    def _commit_done(self, decided: Decided) -> None:
        """After COMMIT: the working copy becomes the state, readers and feeds learn of it, askers get their answers."""
        view, changes = self._replica.current(), decided.changes()
        view.advance(decided.state.settle(), changes)
        self._events += len(decided.events)
        if decided.events:
            self._world.feed.publish(self.team_id, decided.events)
        self._answer(decided)

    def _answer(self, decided: Decided) -> None:
        for envelope, answer in decided.answers:
            if isinstance(answer, DomainError):
                envelope.fail(answer)
            else:
                envelope.resolve(answer)

    def _answer_from_keys(self, batch: list[Envelope], hits: Sequence[KeyRow]) -> list[Envelope]:
        """Keys used before get their stored answer, or a refusal if the request is another one; the rest goes on."""
        stored = {(hit.principal, hit.key): hit for hit in hits}
        rest: list[Envelope] = []
        for envelope in batch:
            hit = stored.get(envelope.key.id) if envelope.key is not None else None
            if envelope.key is None or hit is None:
                rest.append(envelope)
            elif hit.fingerprint != envelope.key.fingerprint:
                envelope.fail(KeyReused())
            else:
                self._replays += 1
                envelope.resolve(Outcome(hit.reply.seq, (), (), hit.reply))
        return rest

    async def _isolate(self, batch: list[Envelope], constraint: str) -> list[Envelope]:
        """A constraint refused the batch: one by one, so that only the guilty command fails."""
        if len(batch) == 1:
            log.warning("refused by constraint %s", constraint, extra={"team_id": str(self.team_id)})
            batch[0].fail(Conflict("constraint", "The database refused this change."))
            return []
        for envelope in batch:
            await self._work([envelope])
        return []

    async def _settle_unknown(self, decided: Decided, batch: list[Envelope]) -> list[Envelope]:
        """The connection broke around COMMIT. Read what is durable under the row lock; never answer from memory."""
        first = decided.events[0].row if decided.events else None
        for attempt in range(UNKNOWN_TRIES):
            try:
                async with self._world.journal.lock(self.team_id) as locked:
                    rows = await locked.read(decided.base.seq)
                break
            except NotFound:
                rows = []
                break
            except StorageUnavailable:
                if attempt + 1 == UNKNOWN_TRIES:
                    raise _OutcomeUnknown("The database went away; whether the change was made is not known.") from None
                await asyncio.sleep(UNKNOWN_PAUSE * 2**attempt)
        if first is not None and rows and rows[0] == first:
            self._commit_done(decided)
            return []
        if first is None:
            return batch
        self._locked_turns = max(self._locked_turns, 1 if rows else 0)
        return batch

    # Snapshots and endings

    def _save_if_due(self) -> None:
        due = self._world.clock.monotonic() - self._saved_at >= SNAPSHOT_SECONDS
        if due and self._unsaved() >= self._world.settings.snapshot_every:
            self._world.spawn(self.save())

    def _changed(self) -> int:
        """Events applied since activation, by this process or another."""
        return self._events + self._replica.learned

    def _unsaved(self) -> int:
        return self._changed() - self._saved_events

    def _refuse_waiting(self, error: Callable[[], TaskForgeError]) -> None:
        self._mailbox.fail_all(error)
        waiting, self._viewers = self._viewers, []
        for _, viewer in waiting:
            if not viewer.done():
                viewer.set_exception(error())


class _Previous(Struct):
    previous: dict[str, Any] = {}


class _OutcomeUnknown(StorageUnavailable):
    """Durable or not: the actor forgets its state, because it cannot know."""
