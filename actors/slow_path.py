"""Brings a batch to its answers: decides it, has it committed, and deals with everything that can come instead."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from actors.active_team import ActiveTeam
from actors.committer import Committer
from actors.envelope import CommandResult, Envelope
from actors.loading import load_needs
from actors.mailbox import Mailbox
from actors.ports import Clock, Feed, Journal, LockedTeam, Snapshots
from actors.prepared_batch import NewId, PreparedBatch
from actors.settings import ActorSettings
from core.errors import (
    Conflict,
    DomainError,
    FieldConflict,
    KeyReused,
    NotFound,
    StaleVersion,
    StorageUnavailable,
    TaskForgeError,
)
from core.writes import (
    CommitOutcome,
    Committed,
    CommitUnknown,
    FenceBroken,
    JournalPosition,
    KeyRow,
    KeysTaken,
    Rejected,
)

log = logging.getLogger(__name__)

BATCH: Final = 512
"""Most envelopes decided at once: bounds how long the event loop is held and how much a refused batch repeats."""
LOCKED_TURNS: Final = 16
"""After a lost fence this many batches go straight under the row lock: the other writer is likely still there."""
UNKNOWN_TRIES: Final = 5
UNKNOWN_PAUSE = 0.1
"""Seconds before the second look at an unknown outcome; doubled each time."""

FirstAttempt = tuple[PreparedBatch, CommitOutcome | BaseException]
"""A first attempt that was made elsewhere, and what became of it."""


class ActorContext(Struct, frozen=True):
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


class OutcomeUnknown(StorageUnavailable):
    """Durable or not: the actor must forget its state, because it cannot know."""


class SlowPath:
    """One team's way from envelopes to answers. `locked_turns` is above zero while another process writes too."""

    def __init__(self, team_id: UUID, context: ActorContext, active: ActiveTeam, mailbox: Mailbox) -> None:
        self.team_id = team_id
        self.locked_turns = 0
        self.batches = self.events = self.fences = self.replays = 0
        self._context = context
        self._team = active
        self._mailbox = mailbox

    def finish(self, prepared: PreparedBatch) -> None:
        """After COMMIT: the copy becomes the state, readers and feeds learn of it, askers get their answers.

        Their keys are still to be released.
        """
        self._team.current().advance(prepared.state, prepared.changed)
        self.events += len(prepared.events)
        if prepared.events:
            self._context.feed.publish(self.team_id, prepared.events)
        _answer(prepared)

    async def work(self, batch: list[Envelope], first: FirstAttempt | None = None, *, alone: bool = False) -> None:
        """Bring every envelope to an answer, in as many attempts as other processes make necessary.

        Unless it is to be `alone`, the batch grows by what arrives while it waits for the row lock. Raises
        OutcomeUnknown, and whatever is a bug; by then everybody who waited has been told.
        """
        waiting = batch
        try:
            if first is not None:
                waiting = await self._conclude_first(*first, batch)
            while waiting:
                self.batches += 1
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
            self.release(batch)

    async def _conclude_first(
        self, prepared: PreparedBatch, outcome: CommitOutcome | BaseException, batch: list[Envelope]
    ) -> list[Envelope]:
        if isinstance(outcome, CommitUnknown):
            return await self._resolve_unknown(prepared, batch)
        if isinstance(outcome, BaseException):
            raise outcome
        return await self._conclude(prepared, batch, outcome)

    async def _attempt(self, batch: list[Envelope]) -> list[Envelope]:
        """One optimistic try; gives the envelopes that need another one."""
        prepared = await self._prepare(batch)
        if prepared.empty:
            return await self._confirm(prepared, batch)
        try:
            outcome = await self._context.committer.commit(prepared.writes())
        except CommitUnknown:
            return await self._resolve_unknown(prepared, batch)
        return await self._conclude(prepared, batch, outcome)

    async def _attempt_locked(self, batch: list[Envelope], grow: list[Envelope] | None) -> list[Envelope]:
        """One try that cannot lose its fence: lock, read what is missing, decide, commit, in one transaction.

        The lock is what all processes wait for in turn, so whoever has it takes all that waits here; `grow` learns of
        it.
        """
        async with self._context.journal.lock(self.team_id) as locked:
            if grow is not None:
                late = self._mailbox.take(max(0, BATCH - len(batch)), self._context.clock.monotonic())
                batch = [*batch, *late]
                grow += late
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
        return await self._conclude(prepared, batch, outcome)

    async def _read_missed(self, locked: LockedTeam) -> bool:
        before = self._team.seq
        self._team.apply_received()
        if rows := await locked.read(self._team.seq):
            await self._team.advance_rows(rows)
        return self._team.seq != before

    async def _prepare(self, batch: Sequence[Envelope]) -> PreparedBatch:
        state = self._team.current().state
        commands = [envelope.command for envelope in batch]
        loaded = await load_needs(self._context.journal, self.team_id, commands, state)
        prepared = PreparedBatch(self.team_id, state)
        loaded.put_beside(prepared.state)
        prepared.add(batch, self._context.clock.now(), self._context.new_id)
        for stale in prepared.stale:
            await self._explain(stale)
        return prepared

    async def _explain(self, stale: StaleVersion) -> None:
        """Fill in, from the journal, the fields that both sides changed since the version the client saw."""
        if not stale.yours:
            return
        base: dict[str, Any] = {}
        for row in await self._context.journal.task_history(self.team_id, stale.task_id, stale.expected):
            previous = msgspec.json.decode(row.payload, type=_Previous).previous
            base = {**previous, **base}
        stale.conflicts = tuple(
            FieldConflict(name, base[name], stale.theirs.get(name), yours)
            for name, yours in stale.yours.items()
            if name in base
        )

    async def _confirm(self, prepared: PreparedBatch, batch: list[Envelope]) -> list[Envelope]:
        """Refusals and changes of nothing write nothing, but they are only true if nobody else wrote meanwhile."""
        now = (await self._context.journal.position([self.team_id])).get(self.team_id, JournalPosition(0))
        if now == JournalPosition(prepared.base.seq, prepared.base.epoch):
            _answer(prepared)
            return []
        if now.epoch == prepared.base.epoch:
            await self._team.catch_up(now.seq)
        else:
            await self._team.reload()
        return batch

    async def _conclude(self, prepared: PreparedBatch, batch: list[Envelope], outcome: CommitOutcome) -> list[Envelope]:
        match outcome:
            case Committed():
                self.finish(prepared)
                return []
            case FenceBroken(rewritten=rewritten):
                self.fences += 1
                if rewritten:
                    await self._team.reload()
                self.locked_turns = LOCKED_TURNS
                return batch
            case KeysTaken(hits=hits):
                return self._answer_from_keys(batch, hits)
            case Rejected(constraint=constraint):
                return await self._isolate(batch, constraint)

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
                self.replays += 1
                envelope.resolve(CommandResult(hit.reply.seq, (), (), hit.reply))
        return rest

    async def _isolate(self, batch: list[Envelope], constraint: str) -> list[Envelope]:
        """A constraint refused the batch: one by one, so that only the guilty command fails."""
        if len(batch) == 1:
            about = {"team_id": str(self.team_id)}
            batch[0].context.run(log.warning, "refused by constraint %s", constraint, extra=about)
            batch[0].fail(Conflict("constraint", "The database refused this change."))
            return []
        for envelope in batch:
            await self.work([envelope], alone=True)
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
            self.finish(prepared)
            return []
        if first is None:
            return batch
        self.locked_turns = max(self.locked_turns, 1 if rows else 0)
        return batch

    def release(self, batch: Sequence[Envelope]) -> None:
        """The keys of the batch may be asked again."""
        for envelope in batch:
            if envelope.key is not None:
                self._mailbox.release(envelope)


def _answer(prepared: PreparedBatch) -> None:
    for envelope, answer in zip(prepared.batch, prepared.answers, strict=True):
        if isinstance(answer, DomainError):
            envelope.fail(answer)
        else:
            envelope.resolve(answer)


class _Previous(Struct):
    previous: dict[str, Any] = {}
