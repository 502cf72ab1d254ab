"""All active teams of this process: activates on demand, sweeps deadlines, passivates what is idle or too much."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from actors.board import TeamView, drop_in_slices
from actors.committer import Committer, CommitterStatistics
from actors.context import ActorContext
from actors.envelope import CommandResult, Envelope, Render, slot_for
from actors.explaining import explain
from actors.loading import load_needs
from actors.ports import Clock, Feed, Journal, NewId, Snapshots
from actors.prepared_batch import PreparedBatch
from actors.settings import ActorSettings
from actors.slices import in_slices
from actors.team import TeamActor
from core.ask import Ask
from core.codec import Encoded
from core.commands import AnyCommand, CreateTeam, Zones, only_utc
from core.errors import DeadlineExceeded, DomainError, ShuttingDown, StaleRead, StaleVersion
from core.quotas import Quotas
from core.writes import JournalPosition

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 0.25
EARLY: Final = 0.1
"""Of a deadline: so much before its end a command is answered, for the answer has to leave by then too."""
SWEEP_SLICE: Final = 500
"""Actors between two turns of the event loop: a sweep looks at each of them for some microseconds."""
WEIGH_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 8.0


Freed = Callable[[int], Awaitable[None]]
"""Told of roughly how many bytes have just been let go."""


async def nothing_to_do(_freed: int) -> None:
    return


class SystemStatistics(Struct, frozen=True):
    """`active` teams, `waiting` commands, rough `memory_bytes`, and totals since start."""

    active: int
    waiting: int
    memory_bytes: int
    activated: int
    passivated: int
    committer: CommitterStatistics


class TeamSystem:
    """The one way to every team. Use it inside `running()`, which owns all of its tasks."""

    def __init__(
        self,
        *,
        journal: Journal,
        snapshots: Snapshots,
        feed: Feed,
        clock: Clock,
        new_id: NewId,
        settings: ActorSettings,
        freed: Freed = nothing_to_do,
        quotas: Quotas | None = None,
        zones: Zones = only_utc,
    ) -> None:
        self._freed = freed
        self._committer = Committer(journal, clock)
        self._context = ActorContext(
            journal,
            snapshots,
            feed,
            clock,
            new_id,
            self._committer,
            settings,
            quotas or Quotas(),
            zones,
            self._spawn,
            self._forget,
        )
        self._actors: dict[UUID, TeamActor] = {}
        self._group: asyncio.TaskGroup | None = None
        self._draining = False
        self._memory = 0
        self._activated = self._passivated = 0

    @asynccontextmanager
    async def running(self, *, drain_seconds: float | None = None) -> AsyncIterator["TeamSystem"]:
        """Serve until the block ends, then drain: finish what waits (bounded), store snapshots, end every task."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            loops = [group.create_task(self._committer.run()), group.create_task(self._sweep())]
            try:
                yield self
            finally:
                await self.drain(drain_seconds)
                for loop in loops:
                    loop.cancel()

    @property
    def answer_seconds(self) -> float:
        """How long whoever asks should wait, to have time left to answer by the deadline."""
        return (1 - EARLY) * self._context.settings.deadline_seconds

    async def ask(
        self,
        team_id: UUID,
        command: AnyCommand,
        ask: Ask,
        render: Render | None = None,
    ) -> CommandResult:
        """Have a command decided and committed; `render` makes the reply that is stored under the ask's key.

        Raises a DomainError when the team refuses it; KeyReused or KeyInFlight for its idempotency key; Overloaded,
        DeadlineExceeded, StorageUnavailable or ShuttingDown when it was not made (or its outcome is unknown).
        """
        actor = self._actor(team_id, fresh=isinstance(command, CreateTeam))
        seconds = self._context.settings.deadline_seconds if ask.deadline is None else ask.deadline
        reply: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        ends = self._context.clock.monotonic() + seconds
        actor.enqueue(Envelope(command, ask, ends, slot_for(ask, render), reply))
        return await reply

    async def preview(self, team_id: UUID, command: AnyCommand, ask: Ask) -> CommandResult:
        """What `ask` would cause now; nothing is written. Raises a DomainError when it would be refused."""
        view = await self.view(team_id)
        loaded = await load_needs(self._context.journal, team_id, [command], view.state)
        prepared = PreparedBatch(team_id, view.state)
        loaded.put_beside(prepared.state)
        reply: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        context = self._context
        envelope = Envelope(command, ask, 0.0, None, reply)
        prepared.add([envelope], context.clock.now(), context.new_id, context.quotas, context.zones)
        answer = prepared.answers[0]
        if isinstance(answer, StaleVersion | StaleRead):
            await explain(context.journal, team_id, answer)
        if isinstance(answer, DomainError):
            raise answer
        return answer

    async def view(
        self, team_id: UUID, *, min_seq: int = 0, epoch: int | None = None, deadline: float | None = None
    ) -> TeamView:
        """The team's committed board at `min_seq` or later, activating it if need be; `deadline` in seconds.

        Where `epoch` is known to be the journal's, a board of another one is not shown.

        Raises NotFound("team"), AheadOfHistory for a `min_seq` never handed out, or an Unavailable.
        """
        actor = self._actor(team_id)
        if actor.view is not None and epoch not in (None, actor.view.epoch):
            actor.compare(0, JournalPosition(min_seq, epoch))
        elif actor.view is not None and actor.view.seq >= min_seq:
            actor.used_at = self._context.clock.monotonic()
            return actor.view
        seconds = self._context.settings.deadline_seconds if deadline is None else deadline
        try:
            async with asyncio.timeout(seconds):
                return await actor.view_at(min_seq)
        except TimeoutError:
            raise DeadlineExceeded("The team could not be read in time.") from None

    def peek(self, team_id: UUID) -> TeamView | None:
        """The committed board if the team is active here: the hot path, no await."""
        actor = self._actors.get(team_id)
        view = None if actor is None else actor.view
        if actor is None or view is None:
            return None
        actor.used_at = self._context.clock.monotonic()
        return view

    def absorb(self, team_id: UUID, events: Sequence[Encoded]) -> None:
        """Apply other workers' events; ignored unless the team is active here."""
        actor = self._actors.get(team_id)
        if actor is not None:
            actor.absorb(events)

    def catch_up_to(self, team_id: UUID, seq: int) -> None:
        """The journal is at `seq`: an active team reads what it misses."""
        actor = self._actors.get(team_id)
        if actor is not None:
            actor.catch_up_to(seq)

    def compare(self, team_id: UUID, seen: int, now: JournalPosition) -> None:
        """The journal is at `now`, and was asked when the team was at `seen` here: see that both agree."""
        actor = self._actors.get(team_id)
        if actor is not None:
            actor.compare(seen, now)

    def active(self) -> Sequence[tuple[UUID, int]]:
        """(team id, seq) of every team in memory."""
        return [(team_id, actor.seq) for team_id, actor in self._actors.items() if actor.view is not None]

    def seq_of(self, team_id: UUID) -> int | None:
        """Where an active team is here: 0 while it is being loaded, None when it is not active."""
        actor = self._actors.get(team_id)
        return None if actor is None else actor.seq

    async def drain(self, seconds: float | None = None) -> None:
        """Refuse new commands, finish waiting ones within so many seconds (8), refuse the rest, store snapshots."""
        self._draining = True
        clock = self._context.clock
        end = clock.monotonic() + (DRAIN_SECONDS if seconds is None else seconds)
        while clock.monotonic() < end and any(  # noqa: ASYNC110 (many actors, one short wait as a process ends)
            not actor.is_idle() for actor in self._actors.values()
        ):
            await asyncio.sleep(0.01)
        for actor in self._actors.values():
            actor.stop()
        for actor in list(self._actors.values()):
            if clock.monotonic() < end:
                await actor.save()
        self._actors.clear()

    def statistics(self) -> SystemStatistics:
        """A frozen picture of the system."""
        return SystemStatistics(
            active=len(self._actors),
            waiting=sum(actor.statistics().mailbox.waiting for actor in self._actors.values()),
            memory_bytes=self._memory,
            activated=self._activated,
            passivated=self._passivated,
            committer=self._committer.statistics(),
        )

    def _actor(self, team_id: UUID, *, fresh: bool = False) -> TeamActor:
        if self._draining:
            raise ShuttingDown("This server is shutting down.")
        actor = self._actors.get(team_id)
        if actor is None:
            actor = self._actors[team_id] = TeamActor(team_id, self._context, fresh=fresh)
            self._activated += 1
        return actor

    def _forget(self, team_id: UUID) -> None:
        self._actors.pop(team_id, None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> object:
        assert self._group is not None, "the system runs inside running()"
        return self._group.create_task(work)

    async def _sweep(self) -> None:
        """Every quarter second: deadlines. Every few seconds: who is idle, and whether memory is over budget."""
        weighed = self._context.clock.monotonic()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._context.clock.monotonic()
            await self._expire(now + SWEEP_SECONDS + EARLY * self._context.settings.deadline_seconds)
            if now - weighed >= WEIGH_SECONDS:
                weighed = now
                await self.passivate(now)

    async def _expire(self, now: float) -> None:
        # Not a part of `_sweep`, whose variables would hold a slice of actors while they are let go.
        async for actors in self._in_slices():
            for actor in actors:
                actor.expire(now)

    async def _in_slices(self) -> AsyncIterator[Sequence[TeamActor]]:
        """The actors of this moment, with a turn for everything else on the event loop after each slice of them."""
        actors = list(self._actors.values())
        for start in range(0, len(actors), SWEEP_SLICE):
            yield actors[start : start + SWEEP_SLICE]
            await asyncio.sleep(0)

    async def passivate(self, now: float) -> None:
        """Let go of teams that were not used for long, and of the least recently used ones while over the budget."""
        settings = self._context.settings
        # Whatever is let go must not be held by a list, or all boards would be taken apart together at its end.
        unused = await self._weigh(now - settings.idle_seconds)
        before = self._memory
        while unused:
            await self._let_go(unused.pop())
        if self._memory > settings.memory_budget_bytes:
            by_use = sorted(self._actors.values(), key=lambda actor: actor.used_at, reverse=True)
            while by_use and self._memory > settings.memory_budget_bytes:
                await self._let_go(by_use.pop())
        if self._memory < before:
            await self._freed(before - self._memory)

    async def _weigh(self, long_ago: float) -> list[TeamActor]:
        """Sum up what all teams weigh, and find those that were last used before `long_ago` (monotonic seconds)."""
        memory, unused = 0, list[TeamActor]()
        async for actors in self._in_slices():
            memory += sum([actor.weigh() for actor in actors])
            unused += [actor for actor in actors if actor.used_at < long_ago]
        self._memory = memory
        return unused

    async def _let_go(self, actor: TeamActor) -> None:
        """Have an idle actor leave memory, bit by bit: taking a board apart takes time too."""
        if not actor.is_idle():
            return
        await actor.save()
        if actor.is_idle() and self._actors.get(actor.team_id) is actor:
            del self._actors[actor.team_id]
            self._memory -= actor.weigh()
            self._passivated += 1
            pieces = actor.pieces()
            del actor
            await in_slices(drop_in_slices(pieces))
