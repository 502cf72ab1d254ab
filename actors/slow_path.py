"""The slow path of a batch: everything that has to be awaited between its envelopes and their answers.

    run ──► attempt ─────────── prepare ── committer.commit ──┐
       │                                                      ├─► by outcome: answered, or the envelopes that need
       └──► attempt_locked ──── lock ── catch up ── prepare ──┘   another attempt
            while another process         ── commit
            writes this team too

An attempt is optimistic: it may lose its fence to another process, and says so only after the round trip. After such a
loss the next attempts hold the team's row lock, under which no fence can be lost. So do those of a team whose row
somebody else holds: it waits for the row alone, until its envelopes' deadlines, and holds up nobody.

Envelopes are answered by their deadline also while they are worked on. The work goes on, because what is on its way to
the database may be durable already; nothing more is begun for those who have their answer.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from actors.active_team import RESTORING, ActiveTeam
from actors.context import ActorContext
from actors.envelope import NOT_KNOWN, NOT_MADE, CommandResult, Envelope
from actors.explaining import explain
from actors.loading import load_needs
from actors.mailbox import Mailbox
from actors.ports import LockedTeam
from actors.prepared_batch import PreparedBatch
from core.errors import (
    Conflict,
    KeyReused,
    NotFound,
    StorageUnavailable,
    TaskForgeError,
)
from core.writes import (
    Blocked,
    CommitOutcome,
    Committed,
    CommitUnknown,
    FenceBroken,
    JournalPosition,
    KeyRow,
    KeysTaken,
    Rejected,
    TeamLocked,
)

__all__ = ["BATCH", "FirstAttempt", "OutcomeUnknown", "SlowPath"]

log = logging.getLogger(__name__)

BATCH: Final = 512
"""Most envelopes in one batch: bounds how long the event loop is held and how much a refused batch repeats."""
LOCKED_TURNS: Final = 16
"""After a lost fence this many batches go straight under the row lock: the other writer is likely still there."""
UNKNOWN_TRIES: Final = 5
UNKNOWN_PAUSE = 0.1
"""Seconds before the second look at an unknown outcome; doubled each time."""

FirstAttempt = tuple[PreparedBatch, CommitOutcome | BaseException]
"""An attempt that the fast path has made already, and its outcome."""


class OutcomeUnknown(StorageUnavailable):
    """Durable or not: the actor must forget its state, because it cannot know."""


class SlowPath:
    """Brings batches of one team to their answers. `locked_turns` is above zero while another process writes too."""

    def __init__(self, team_id: UUID, context: ActorContext, team: ActiveTeam, mailbox: Mailbox) -> None:
        self.team_id = team_id
        self.locked_turns = 0
        self.attempts = self.fences = self.replays = 0
        self._context = context
        self._team = team
        self._mailbox = mailbox
        self._working: list[Envelope] = []
        self._undecided = True
        """Whether nothing of what is worked on can become durable without another attempt."""

    def expire(self, now: float) -> None:
        """Answer the envelopes that are worked on past their deadline (monotonic seconds)."""
        for envelope in self._working:
            envelope.expire(now, NOT_MADE if self._undecided else NOT_KNOWN)

    async def run(self, batch: list[Envelope], first: FirstAttempt | None = None, *, alone: bool = False) -> None:
        """Bring every envelope to an answer, in as many attempts as other processes make necessary.

        Unless it is to stay `alone`, the batch grows by what arrives while it waits for the row lock. Raises
        OutcomeUnknown, and whatever is a bug; every envelope has its answer by then.
        """
        waiting, self._undecided = batch, first is None
        if not alone:
            self._working = batch
        try:
            if first is not None:
                waiting = await self._conclude_first(*first, batch)
            while waiting := [envelope for envelope in waiting if not envelope.reply.done()]:
                self._undecided = True
                self.attempts += 1
                if self.locked_turns:
                    waiting = await self._attempt_locked(waiting, None if alone else batch)
                else:
                    waiting = await self._attempt(waiting)
        except TaskForgeError as error:
            for envelope in batch:
                envelope.fail(error)
            if isinstance(error, OutcomeUnknown):
                raise
        except BaseException:
            for envelope in batch:
                envelope.fail(StorageUnavailable("The change could not be made; its outcome is not known."))
            raise
        finally:
            self._mailbox.release(batch)
            if not alone:
                self._working = []

    async def _conclude_first(
        self, prepared: PreparedBatch, outcome: CommitOutcome | BaseException, batch: list[Envelope]
    ) -> list[Envelope]:
        if isinstance(outcome, CommitUnknown):
            return await self._resolve_unknown(prepared, batch)
        if isinstance(outcome, BaseException):
            raise outcome
        return await self._conclude(prepared, batch, outcome)

    async def _attempt(self, batch: list[Envelope]) -> list[Envelope]:
        """One optimistic attempt; returns the envelopes that need another one."""
        prepared = await self._prepare(batch)
        if prepared.empty:
            return await self._confirm(prepared, batch)
        try:
            outcome = await self._context.committer.commit(prepared.writes())
        except CommitUnknown:
            return await self._resolve_unknown(prepared, batch)
        return await self._conclude(prepared, batch, outcome)

    async def _attempt_locked(self, batch: list[Envelope], grown: list[Envelope] | None) -> list[Envelope]:
        """An attempt under the row lock, for which it waits a moment: whoever has no answer by then tries again."""
        batch = batch.copy()
        try:
            return await self._attempt_under_lock(batch, grown)
        except TeamLocked:
            return batch

    async def _attempt_under_lock(self, batch: list[Envelope], grown: list[Envelope] | None) -> list[Envelope]:
        """One attempt that cannot lose its fence: lock, read what is missing, decide, commit, in one transaction.

        All processes wait in turn for this lock, so its holder takes along everything that waits in the mailbox by
        then; what joins the batch is appended to `grown` too.
        """
        async with self._context.journal.lock(self.team_id) as locked:
            if grown is not None:
                late = self._mailbox.take(max(0, BATCH - len(batch)), self._context.clock.monotonic())
                batch += late
                grown += late
            missed = await self._read_missed(locked)
            self.locked_turns = LOCKED_TURNS if missed else self.locked_turns - 1
            prepared = await self._prepare(batch)
            if prepared.empty:
                return await self._confirm(prepared, batch)
            try:
                outcome = await locked.commit(prepared.writes())
            except CommitUnknown:
                outcome = None
        if outcome is None:
            return await self._resolve_unknown(prepared, batch)
        if isinstance(outcome, KeysTaken):
            # Who may ask was decided by the newest state, so that nothing is left to confirm.
            return self._answer_from_keys(batch, outcome.hits)
        return await self._conclude(prepared, batch, outcome)

    async def _read_missed(self, locked: LockedTeam) -> bool:
        """Catch up under the lock; whether there was anything, which means that another process still writes."""
        before = self._team.seq
        self._team.apply_received()
        if rows := await locked.read(self._team.seq):
            await self._team.apply_rows(rows)
        return self._team.seq != before

    async def _prepare(self, batch: Sequence[Envelope]) -> PreparedBatch:
        state = self._team.current().state
        commands = [envelope.command for envelope in batch]
        loaded = await load_needs(self._context.journal, self.team_id, commands, state)
        prepared = PreparedBatch(self.team_id, state)
        loaded.put_beside(prepared.state)
        self._undecided = False
        prepared.add(
            [envelope for envelope in batch if not envelope.reply.done()],
            self._context.clock.now(),
            self._context.new_id,
            self._context.quotas,
            self._context.zones,
        )
        for stale in prepared.stale:
            await explain(self._context.journal, self.team_id, stale)
        return prepared

    async def _confirm(self, prepared: PreparedBatch, batch: list[Envelope]) -> list[Envelope]:
        """Answer what writes nothing (refusals, changes of nothing), if no other process wrote before it."""
        if not await self._is_newest(prepared):
            return batch
        prepared.answer()
        return []

    async def _is_newest(self, prepared: PreparedBatch) -> bool:
        """Whether no other process has written since the state that was decided by; else the team catches up."""
        now = (await self._context.journal.position([self.team_id])).get(self.team_id, JournalPosition(0))
        if now == JournalPosition(prepared.base.seq, prepared.base.epoch):
            return True
        if now.epoch != prepared.base.epoch:
            await self._team.abandon()
        elif now.due or now.seq < self._team.seq:
            await self._refuse_to_go_on()
        else:
            await self._team.catch_up(now.seq)
        return False

    async def _refuse_to_go_on(self) -> None:
        """The database is behind what was committed here, or its team waits for a new epoch.

        Whoever asked for something may have seen what is lost: let them look again.
        """
        await self._team.abandon()
        raise StorageUnavailable(RESTORING)

    async def _conclude(self, prepared: PreparedBatch, batch: list[Envelope], outcome: CommitOutcome) -> list[Envelope]:
        match outcome:
            case Committed():
                self._team.adopt(prepared)
                return []
            case FenceBroken(seq=seq, rewritten=rewritten):
                self.fences += 1
                if rewritten:
                    await self._team.abandon()
                elif seq <= self._team.seq:
                    # Nobody wrote before us: what the fence waits for is a new epoch.
                    await self._refuse_to_go_on()
                self.locked_turns = LOCKED_TURNS
                return batch
            case Blocked():
                self.locked_turns = max(self.locked_turns, 1)
                return batch
            case KeysTaken(hits=hits):
                return await self._replay(prepared, batch, hits)
            case Rejected(constraint=constraint):
                return await self._isolate(batch, constraint)

    async def _replay(self, prepared: PreparedBatch, batch: list[Envelope], hits: Sequence[KeyRow]) -> list[Envelope]:
        """Answer used keys, unless another process wrote meanwhile: it may have taken the right to ask from somebody.

        They are decided anew then, under the lock, so that a team which is written all the time comes to an end.
        """
        if await self._is_newest(prepared):
            return self._answer_from_keys(batch, hits)
        self.locked_turns = max(self.locked_turns, 1)
        return batch

    def _answer_from_keys(self, batch: list[Envelope], hits: Sequence[KeyRow]) -> list[Envelope]:
        """Answer used keys with what is stored, or refuse them if the request is another one; returns the others."""
        stored = {(hit.principal, hit.key): hit for hit in hits}
        rest: list[Envelope] = []
        for envelope in batch:
            hit = stored.get(envelope.key.id) if envelope.key is not None else None
            if envelope.key is None or hit is None:
                rest.append(envelope)
            elif hit.fingerprint != envelope.key.fingerprint:
                envelope.fail(KeyReused())
            else:
                self.replays += 1
                envelope.resolve(CommandResult(hit.reply.seq, (), (), hit.reply))
        return rest

    async def _isolate(self, batch: list[Envelope], constraint: str) -> list[Envelope]:
        """A constraint refused the batch: run it one by one, so that only the guilty command fails."""
        if len(batch) == 1:
            about = {"team_id": str(self.team_id)}
            batch[0].context.run(log.warning, "refused by constraint %s", constraint, extra=about)
            batch[0].fail(Conflict("constraint", "The database refused this change."))
            return []
        for envelope in batch:
            await self.run([envelope], alone=True)
        return []

    async def _resolve_unknown(self, prepared: PreparedBatch, batch: list[Envelope]) -> list[Envelope]:
        """The connection broke around COMMIT. Read what is durable under the row lock; never answer from memory."""
        first = prepared.events[0].row if prepared.events else None
        for attempt in range(UNKNOWN_TRIES):
            try:
                async with self._context.journal.lock(self.team_id) as locked:
                    rows = await locked.read(prepared.base.seq)
                break
            except NotFound:
                rows = []
                break
            except StorageUnavailable:
                if attempt + 1 == UNKNOWN_TRIES:
                    raise OutcomeUnknown("The database went away; whether the change was made is not known.") from None
                await asyncio.sleep(UNKNOWN_PAUSE * 2**attempt)
        if first is not None and rows and rows[0] == first:
            self._team.adopt(prepared)
            return []
        if first is None:
            # Nothing but keys was written. Trying again meets them if they are durable.
            return batch
        self.locked_turns = max(self.locked_turns, 1 if rows else 0)
        return batch
