"""The copy kept by the topics: `taskforge.task-events.v1`, and the checkpoints that prove it on the way.

A run reads up to where the topics end when it begins. Where each partition was left stands in the same transaction as
what was read, so that a run which is killed is as good as none.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from .events import Event, read
from .proof import differences
from .store import Team, Warehouse

EVENTS = "taskforge.task-events.v1"
CHECKPOINTS = "taskforge.checkpoints.v1"
LIFE = "tf-incarnation"
ROUNDS = 4
POLL_MS = 1_000


@dataclass
class Run:
    """What came of a run. `proven` has what differs from a checkpoint by team: nothing, when all is well.

    `lacking` are teams of which the topic has forgotten what comes next, with the first seq after the hole: they need a
    bootstrap. `foreign` records are none of TaskForge's, and were passed over.
    """

    taken: int = 0
    foreign: int = 0
    proven: dict[str, list[str]] = field(default_factory=dict)
    lacking: dict[str, int] = field(default_factory=dict)


class Topic:
    """Reads the topics of a broker into a warehouse."""

    def __init__(self, kafka: str, warehouse: Warehouse) -> None:
        self._kafka, self._warehouse = kafka, warehouse
        self._run = Run()
        self._again = False
        self._missed: set[str] = set()

    async def run(self) -> Run:
        """Everything that the topics have now."""
        self._run = Run()
        fresh = await self._read_checkpoints()
        for _ in range(ROUNDS):
            self._again, self._run.lacking = False, {}
            await self._read_events()
            if not self._again:
                break
        for team in fresh - self._run.proven.keys():
            self._prove_if_there(team)
        return self._run

    async def _read_checkpoints(self) -> set[str]:
        """The teams that have another checkpoint than before."""
        before = {team: self._warehouse.checkpoint(team) for team in self._warehouse.teams()}
        async with self._reading(CHECKPOINTS) as consumer:
            async for records in self._to_the_end(consumer):
                with self._warehouse.transaction():
                    for record in records:
                        if record.value is None:
                            self._warehouse.drop_checkpoint(record.key.decode())
                        else:
                            self._warehouse.keep_checkpoint(read(record.value))
        return {team for team, checkpoint in before.items() if self._warehouse.checkpoint(team) != checkpoint}

    async def _read_events(self) -> None:
        async with self._reading(EVENTS) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            known = dict(self._warehouse.rows("select partition, next from positions"))
            for place, end in ends.items():
                # A topic that was written anew may be shorter than what was read of the one before.
                offset = known.get(place.partition, 0)
                consumer.seek(place, offset if offset <= end else 0)
            async for records in self._to_the_end(consumer):
                ours = [(record, event) for record in records if (event := self._event_of(record))]
                self._see_life([record for record, _ in ours])
                with self._warehouse.transaction():
                    self._take_all([event for _, event in ours])
                    self._move({record.partition: record.offset + 1 for record in records})
        if self._again:
            # What does not fit is read once more from the beginning; teams skip what they have.
            self._forget_positions()

    def _see_life(self, records: list[ConsumerRecord]) -> None:
        """In another life of the broker offsets mean nothing any more: all is read, and skipped if it is here."""
        lives = {life for (life,) in self._warehouse.rows("select incarnation from lives")}
        new = {dict(record.headers)[LIFE].decode() for record in records} - lives
        for life in new:
            self._warehouse.db.execute("insert into lives values (?)", [life])
        self._again = self._again or bool(new and lives)

    def _event_of(self, record: ConsumerRecord) -> Event | None:
        """None for what somebody else wrote into the topic: it is no event, and must not hold those behind it."""
        try:
            if LIFE in dict(record.headers):
                return Event.of(record.value)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        self._run.foreign += 1
        return None

    def _forget_positions(self) -> None:
        self._warehouse.db.execute("delete from positions")

    def _move(self, nexts: dict[int, int]) -> None:
        for partition, offset in nexts.items():
            self._warehouse.db.execute("delete from positions where partition = ?", [partition])
            self._warehouse.db.execute("insert into positions values (?, ?)", [partition, offset])

    def _take_all(self, events: list[Event]) -> None:
        by_team: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            by_team[event.team].append(event)
        for team, theirs in by_team.items():
            self._take(team, theirs)

    def _take(self, team: str, events: list[Event]) -> None:
        """Those that are next, in runs that end at a checkpoint, so that it can be compared."""
        at, checkpoint = self._warehouse.team(team) or Team(), self._warehouse.checkpoint(team)
        epochs = dict(self._warehouse.rows("select epoch, from_seq from epochs where team = ?", team))
        epoch, seq, run = at.epoch, at.seq, list[Event]()
        for event in events:
            restored = event.type == "team.restored" and event.epoch > epoch
            if restored and event.epoch not in epochs and self._restore(event, seq):
                return
            if event.epoch < epoch or any(event.epoch < e and event.seq >= first for e, first in epochs.items()):
                continue  # It has not happened.
            if event.seq <= seq or (restored and event.seq > seq + 1):
                continue  # It is here already, or comes again in its place.
            if event.seq > seq + 1:
                self._miss(event)
                continue
            run.append(event)
            epoch, seq = event.epoch, event.seq
            if checkpoint and (epoch, seq) == (checkpoint["epoch"], checkpoint["seq"]):
                self._take_run(run)
                self._prove_if_there(team)
                run = []
        self._take_run(run)

    def _take_run(self, run: list[Event]) -> None:
        if not run:
            return
        self._warehouse.take(run)
        self._run.taken += len(run)
        if self._run.lacking.get(run[0].team, run[-1].seq + 1) <= run[-1].seq:
            del self._run.lacking[run[0].team]

    def _prove_if_there(self, team: str) -> None:
        at, checkpoint = self._warehouse.team(team), self._warehouse.checkpoint(team)
        if at and checkpoint and (at.epoch, at.seq) == (checkpoint["epoch"], checkpoint["seq"]):
            self._run.proven[team] = differences(self._warehouse, team, checkpoint)

    def _restore(self, event: Event, seq: int) -> bool:
        """Whether events were taken that have not happened after all: then the team is made anew without them."""
        first = event.data["from_seq"]
        self._warehouse.db.execute("insert into epochs values (?, ?, ?)", [event.team, event.epoch, first])
        if first > seq:
            return False
        self._warehouse.drop(event.team)
        self._again = True
        return True

    def _miss(self, event: Event) -> None:
        """A hole. The topic is read once more for it; what it lacks then it has forgotten."""
        self._run.lacking.setdefault(event.team, event.seq)
        if event.team not in self._missed:
            self._missed.add(event.team)
            self._again = True

    @asynccontextmanager
    async def _reading(self, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self._kafka, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    @staticmethod
    async def _to_the_end(consumer: AIOKafkaConsumer) -> AsyncIterator[list[ConsumerRecord]]:
        """Records until the ends of now, a batch at a time, whatever comes meanwhile."""
        left = await consumer.end_offsets(consumer.assignment())
        while left:
            for place in [place for place in left if await consumer.position(place) >= left[place]]:
                del left[place]
            if left:
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    yield records
