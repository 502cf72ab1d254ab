"""From the journal to the topics: per team by `seq`, each event once in the common case, none ever left out.

Why per team and not by a global number: rows become visible in the order of COMMIT, not of any serial; only a team's
own `seq` is handed out under the team's lock. The cursor moves after every replica acknowledged. What is delivered
twice all the same (at least once, under the same `event_id`): a page whose relay lost its lease while it was on its
way, and a batch that a non-idempotent producer repeats after a broken connection.
"""

import logging
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from itertools import islice
from typing import Final
from uuid import UUID

import anyio
from aiokafka import AIOKafkaProducer
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec import structs

from core.errors import StorageUnavailable
from core.task import Task
from db.highest_epoch import HighestEpoch
from db.journal import relay_cursors as cursors
from db.journal.relay_cursors import BEGIN, RANGES, Lag, Move, Page, range_of
from db.pool import Pool
from streams.kafka import relay_state
from streams.kafka.broker import Backoff, BrokerUnavailable, broker_errors, producing
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.relay_state import floors_of, range_key
from streams.kafka.topics import TASK_EVENTS, TASKS, team_key
from streams.leases import RELAY, Leases
from streams.relay.histories import FIRST, STATE_ANEW, Histories
from streams.relay.progress import RangeLag, RelayStatistics, lag_by_range
from streams.relay.publisher import LeaseLost, Publisher, RecordsLost
from streams.relay.records import Record, contiguous, neighbours, records_of
from streams.relay.steps import Steps
from streams.relay.topic_ends import Numbered, Run, last_runs
from streams.settings import KafkaSettings

__all__ = ["RangeLag", "Relay", "RelayStatistics"]

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
FROZEN_SECONDS: Final = 10.0
SWEEP_TEAMS: Final = 2_000
"""Teams that a sweep looks at: the next ones by id, so that its cost does not grow with the installation. Wake-ups name
the teams that commit; whenever some may have been missed, the sweep looks at all teams, in slices of so many."""
ROUND_ROWS: Final = 4_000
ROUND_TEAMS: Final = 200
HALTED_SECONDS: Final = 30.0
TEAMS_REMEMBERED: Final = 20_000


class Relay:
    """Publishes the ranges it leases. `wake` it for a team that committed; it sweeps every second by itself."""

    name = "relay"

    def __init__(
        self,
        pool: Pool,
        kafka: KafkaSettings,
        monitor: BrokerMonitor,
        writer: Pool,
        highest: HighestEpoch | None = None,
    ) -> None:
        self._pool = pool
        self._histories = Histories(pool, writer, kafka, highest)
        self._kafka = kafka
        self._monitor = monitor
        self._leases = Leases(pool, RELAY, RANGES)
        self._stopping = False
        self._awake = anyio.Event()
        self._dirty: dict[UUID, None] = {}
        self._uncertain: set[UUID] = set()
        self._present: dict[UUID, Run] = {}
        self._sent: dict[UUID, Numbered] = {}
        self._halted: dict[UUID, float] = {}
        self._entrusted: dict[int, str] = {}
        self._swept = self._sweep_ended = float("-inf")
        self._looked_after = BEGIN
        self._look_at_all = True
        self._ready = False
        self._statistics = RelayStatistics()

    def wake(self, team_id: UUID) -> None:
        """The team has committed something."""
        if range_of(team_id) in self._entrusted:
            self._dirty[team_id] = None
            self._awake.set()

    def sweep_soon(self) -> None:
        """Wake-ups may have been missed: look for all teams that are behind, now."""
        self._look_at_all = True
        self._swept = float("-inf")
        self._awake.set()

    def stop(self) -> None:
        """Finish the round and return from `run`."""
        self._stopping = True
        self._awake.set()

    @property
    def ready(self) -> bool:
        """Whether broker and database answer. A sweep that is long overdue hangs in one of them, or in a round."""
        return self._ready and time.monotonic() - self._sweep_ended < FROZEN_SECONDS

    def statistics(self) -> RelayStatistics:
        """Counted since the start; `ranges` and `ready` as of now."""
        return structs.replace(
            self._statistics, ranges=self._leases.held, halted=frozenset(self._halted), ready=self.ready
        )

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Relay until stopped; a broker or database that is down is waited for. Needs the monitor to run beside it."""
        task_status.started()
        try:
            async with anyio.create_task_group() as group:
                await self._until_stopped(Steps(self._pool, group, self._uncertain.update))
        finally:
            with anyio.CancelScope(shield=True):
                await self._leases.close()

    async def _until_stopped(self, steps: Steps) -> None:
        """One session after the other, each of one life of the broker, with a pause where something is away."""
        backoff, incarnation = Backoff(), ""
        while not self._stopping:
            try:
                incarnation = await self._broker_or_stop()
                if incarnation:
                    await self._session(incarnation, steps, backoff)
                self._ready = False
            except (BrokerUnavailable, StorageUnavailable, LeaseLost) as error:
                self._ready = False
                logger.warning("the relay pauses: %s", error)
                if isinstance(error, RecordsLost):
                    self._monitor.lost(incarnation)
                self._monitor.doubt()
                await backoff.wait()

    async def _broker_or_stop(self) -> str:
        """The broker's incarnation; empty when the relay is to stop instead."""
        incarnation = ""

        async def wait_for_broker() -> None:
            nonlocal incarnation
            incarnation = await self._monitor.known()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_broker)
            while not self._stopping:
                await self._awake.wait()
                self._awake = anyio.Event()
            group.cancel_scope.cancel()
        return incarnation

    async def _session(self, incarnation: str, steps: Steps, backoff: Backoff) -> None:
        """Publish as long as the broker lives this life; nothing before the ranges are entrusted to us in it."""
        await steps.settle()  # A step that comes late would pass for one of this life, where cursors begin at zero.
        self._look_at_all = True
        self._swept = float("-inf")
        async with producing(self._kafka) as producer:
            with broker_errors():
                partitions = {topic: await producer.partitions_for(topic) for topic in (TASK_EVENTS, TASKS)}
            publisher = Publisher(producer, {topic: sorted(found) for topic, found in partitions.items()})
            while not self._stopping and self._monitor.is_current(incarnation):
                if time.monotonic() - self._swept >= SWEEP_SECONDS:
                    await steps.settle()
                    await self._sweep(incarnation, producer)
                if self._dirty:
                    await self._round(incarnation, steps, publisher)
                    backoff.reset()
                else:
                    await self._idle()

    async def _idle(self) -> None:
        with anyio.move_on_after(max(0.0, self._swept + SWEEP_SECONDS - time.monotonic())):
            await self._awake.wait()
        self._awake = anyio.Event()

    async def _sweep(self, incarnation: str, producer: AIOKafkaProducer) -> None:
        self._swept = time.monotonic()
        anew = await self._leases.balance()
        held = self._leases.held
        self._entrusted = {n: life for n, life in self._entrusted.items() if n in held and not anew}
        taken = [number for number in held if self._entrusted.get(number) != incarnation]
        if taken:
            await self._take_over(taken, incarnation, producer)
        self._retry_halted()
        behind = await self._look(held)
        self._dirty.update(dict.fromkeys(lag.team_id for lag in behind))
        self._statistics = structs.replace(self._statistics, lag=lag_by_range(held, behind))
        self._ready, self._sweep_ended = True, time.monotonic()

    async def _look(self, held: Collection[int]) -> Sequence[Lag]:
        """Teams that are behind: among all, or among the next slice of them and those that wait for a round anyhow."""
        if self._look_at_all:
            self._look_at_all = False
            return [lag async for behind in self._slices(held) for lag in behind if lag.team_id not in self._halted]
        waiting = list(islice(self._dirty, SWEEP_TEAMS))
        look = await cursors.lagging(
            self._pool, held, after=self._looked_after, teams=SWEEP_TEAMS, also=waiting, without=self._halted
        )
        self._looked_after = look.after
        return look.behind

    async def _slices(self, ranges: Collection[int]) -> AsyncIterator[Sequence[Lag]]:
        """All teams of the ranges that are behind, by slices of the teams."""
        after: UUID | None = None
        while after != BEGIN:
            look = await cursors.lagging(self._pool, ranges, after=after or BEGIN, teams=SWEEP_TEAMS)
            after = look.after
            yield look.behind

    async def _take_over(self, numbers: Sequence[int], incarnation: str, producer: AIOKafkaProducer) -> None:
        """Make sure that the cursors of the ranges speak of this life of the broker; if not, begin anew."""
        state = await self._monitor.look()
        if not self._monitor.is_current(incarnation):
            raise BrokerUnavailable("the broker changed while ranges were taken over")
        strange = [number for number in numbers if state.get(range_key(number)) != incarnation.encode()]
        if strange:
            teams = await cursors.reset(self._pool, strange)
            if teams:
                logger.warning("publishing %d teams of %d ranges anew from the journal", teams, len(strange))
            for number in strange:
                await relay_state.write(producer, range_key(number), incarnation.encode())
            refills = self._statistics.refills + (len(strange) if teams else 0)
            self._statistics = structs.replace(self._statistics, refills=refills)
        self._histories.forget()
        with broker_errors():
            partitions = await producer.partitions_for(TASK_EVENTS)
        await self._histories.compare(partitions, numbers)
        async for behind in self._slices(numbers):
            self._uncertain.update(lag.team_id for lag in behind)
        self._look_at_all = True
        self._entrusted.update(dict.fromkeys(numbers, incarnation))

    def _retry_halted(self) -> None:
        now = time.monotonic()
        for team_id in [team_id for team_id, since in self._halted.items() if now - since > HALTED_SECONDS]:
            del self._halted[team_id]
            self._dirty[team_id] = None

    def _next_teams(self, incarnation: str) -> list[UUID]:
        teams = list(islice((team_id for team_id in self._dirty if team_id not in self._halted), ROUND_TEAMS))
        if len(teams) < ROUND_TEAMS:
            self._dirty.clear()
        for team_id in teams:
            self._dirty.pop(team_id, None)
        held = self._leases.held
        mine = {number for number, life in self._entrusted.items() if number in held and life == incarnation}
        return [team_id for team_id in teams if range_of(team_id) in mine]

    async def _round(self, incarnation: str, steps: Steps, publisher: Publisher) -> None:
        teams = self._next_teams(incarnation)
        if not teams:
            return
        pages = await self._read(teams, steps.ahead)
        if self._went_back(pages):
            await self._histories.compare(publisher.partitions(TASK_EVENTS), self._leases.held)
            self._dirty.update(dict.fromkeys(teams))
            return
        if self._uncertain:
            await self._look_into_topic(incarnation, publisher)
        others = await cursors.tasks(self._pool, {pair for page in pages for pair in neighbours(page.rows)})
        records = self._records(pages, others, incarnation)
        self._uncertain.update(page.team_id for page in pages)
        ahead = await self._histories.announcements(pages, self._sent, incarnation)
        await self._publish([*ahead, *records], publisher, incarnation)
        anew = await self._write_state_anew(pages, publisher, incarnation)
        moves = [Move(page.team_id, page.published, page.rows[-1].seq) for page in pages]
        await steps.take(moves, partial(self._count, pages, records, anew))
        self._uncertain.difference_update(page.team_id for page in pages)
        self._remember(pages)
        self._dirty.update((page.team_id, None) for page in pages if page.head > page.rows[-1].seq)

    async def _read(self, teams: Sequence[UUID], ahead: Mapping[UUID, int]) -> Sequence[Page]:
        """What comes next of each team, as far as there is anything, up to a hole."""
        pages = await cursors.read(self._pool, teams, ahead=ahead, per_team=ROUND_ROWS // len(teams))
        return [page for page in map(self._whole, pages) if page.rows]

    async def _publish(self, records: Sequence[Record], publisher: Publisher, incarnation: str) -> None:
        async with self._monitor.publishing:
            if not self._monitor.is_current(incarnation):
                raise BrokerUnavailable("the broker changed before a page was published")
            await publisher.publish(records, self._is_allowed)

    def _records(self, pages: Iterable[Page], others: Mapping[UUID, Task], incarnation: str) -> list[Record]:
        """The pages' records; of an event that is in its topic already only the tasks, which lose nothing twice."""
        records: list[Record] = []
        for page in pages:
            run = self._present.get(page.team_id)
            present = run.last if run is not None and run.follows(page.published) else (0, 0)
            for row in page.rows:
                records += records_of(row, others, incarnation, known=(row.epoch, row.seq) <= present)
            if present <= (page.rows[-1].epoch, page.rows[-1].seq):
                self._present.pop(page.team_id, None)
        return records

    async def _write_state_anew(self, pages: Sequence[Page], publisher: Publisher, incarnation: str) -> int:
        """Of teams that were restored or deleted in these pages, publish what is with all tasks; how many records."""
        rows = [row for page in pages for row in page.rows if row.type in STATE_ANEW]
        written = 0
        if rows:
            anew = self._histories.state_anew(rows, publisher.partitions(TASKS), self._leases.held, incarnation)
            async with aclosing(anew) as slices:
                async for records in slices:
                    await self._publish(records, publisher, incarnation)
                    written += len(records)
                    self._sweep_ended = time.monotonic()  # Much to do is no reason to be taken for frozen.
        return written

    def _went_back(self, pages: Iterable[Page]) -> bool:
        """Whether a cursor is behind what was published here: set back by hand, or with its whole database."""
        if all(page.published >= self._sent.get(page.team_id, FIRST)[1] for page in pages):
            return False
        self._sent.clear()
        return True

    def _remember(self, pages: Iterable[Page]) -> None:
        if len(self._sent) > TEAMS_REMEMBERED:
            self._sent.clear()
        self._sent.update((page.team_id, (page.rows[-1].epoch, page.rows[-1].seq)) for page in pages)

    def _is_allowed(self) -> bool:
        return self._leases.alive

    def _whole(self, page: Page) -> Page:
        """The page up to a hole; the team is stopped, loudly, when the hole comes next."""
        rows = contiguous(page)
        if not rows and page.head > page.published:
            self._halted[page.team_id] = time.monotonic()
            logger.error(
                "the journal of team %s lacks event %d although the team is at %d: the team is not relayed further",
                page.team_id,
                page.published + 1,
                page.head,
            )
        return page if rows is page.rows else structs.replace(page, rows=rows)

    async def _look_into_topic(self, incarnation: str, publisher: Publisher) -> None:
        """Learn how far the topic is for teams whose cursor may lag behind it."""
        state = await self._monitor.look()
        teams = {team_id: publisher.partition(TASK_EVENTS, team_key(team_id)) for team_id in self._uncertain}

        def floor(team_id: UUID, partition: int) -> int:
            return floors_of(state, incarnation, team_id).get(partition, 0)

        found = await last_runs(self._kafka, teams, floor)
        self._present = {team_id: run for team_id, run in self._present.items() if team_id not in teams} | found
        self._uncertain.clear()

    def _count(self, pages: Sequence[Page], records: Sequence[Record], anew: int) -> None:
        rows = sum(len(page.rows) for page in pages)
        events = sum(record.topic == TASK_EVENTS for record in records)
        before = self._statistics
        self._statistics = structs.replace(
            before,
            published=before.published + events,
            spared=before.spared + rows - events,
            tasks=before.tasks + len(records) - events + anew,
            rounds=before.rounds + 1,
        )
