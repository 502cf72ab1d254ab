"""A bootstrap that is made while its team is written to, joined with its tail, is what a checkpoint says."""

import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest
from msgspec import structs, to_builtins

from core.checkpoints import Checkpoint
from core.events import AnyEvent
from core.task import Task
from db.bootstrap.folding import begun, folded
from db.bootstrap.spool import Spool
from db.pool import Pools
from streams.bootstrap import FORMATS, Format, write
from streams.kafka.topics import CHECKPOINTS
from streams.settings import KafkaSettings
from tests.streams.test_checkpoints import decoded, publishing, records_of
from tests.support.journal_writer import JournalWriter, a_task, created, deleted, updated
from tests.support.proofs import share
from tests.support.topic_reader import EVENTS, reading
from tests.support.waiting import until, until_answered
from tests.support.warehouse import open_warehouse, part

pytestmark = pytest.mark.anyio

WRITES_PER_SECOND = 500
BATCH = 25
TEAMS = 5
ROUNDS = 100
OF_THE_SAME = 10
"""Rounds with the same teams: their histories grow, and with them what each round costs."""


@pytest.fixture
def kafka(kafka: KafkaSettings) -> KafkaSettings:
    return structs.replace(kafka, checkpoint_events=100, checkpoint_minutes=10_000.0)


class Busy:
    """Teams that are written to all the time, in turn: tasks come, change, get other neighbours, and go."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self.teams: list[UUID] = []
        self._tasks: dict[UUID, list[Task]] = defaultdict(list)
        self._seqs: dict[UUID, int] = defaultdict(int)
        self.written = 0

    async def begin(self) -> None:
        """Go on with other teams, in which nothing has happened."""
        self.teams = [await self._journal.team() for _ in range(TEAMS)]

    async def write(self) -> None:
        """At the rate that the acceptance names, until cancelled: what is late is made up for."""
        await self.begin()
        begun_at = time.monotonic()
        while True:
            for team in self.teams:
                await self._journal.commit([self._event(team) for _ in range(BATCH)])
                self.written += BATCH
                due = begun_at + self.written / WRITES_PER_SECOND
                await anyio.sleep(max(0.0, due - time.monotonic()))

    def _event(self, team: UUID) -> AnyEvent:
        self._seqs[team] = seq = self._seqs[team] + 1
        tasks = self._tasks[team]
        if len(tasks) < 3 or seq % 5 == 0:
            tasks.append(a_task(team, seq, title=f"Ünïcödé \u2028 {seq}", estimate=seq / 2))
            return created(tasks[-1], seq)
        if seq % 7 == 0:
            return deleted(tasks.pop(0), seq)
        place = seq % len(tasks)
        tasks[place] = structs.replace(tasks[place], title=f"Changed {seq}", rank=f"b{seq}", version=seq)
        neighbour = tasks[place - 1]
        return updated(tasks[place], seq, ranks={neighbour.id: f"c{seq}"} if seq % 3 == 0 else None, rank="a0")


class Heard:
    """What the topics have said so far: the events of each team by seq, and its newest checkpoint."""

    def __init__(self) -> None:
        self.events: dict[UUID, dict[int, Any]] = defaultdict(dict)
        self.checkpoints: dict[UUID, Checkpoint] = {}

    async def listen(self, kafka: KafkaSettings) -> None:
        of = part("events").Event.of
        async with reading(kafka.bootstrap_servers, EVENTS, CHECKPOINTS) as consumer:
            while True:
                for place, records in (await consumer.getmany(timeout_ms=100)).items():
                    for record in records:
                        if place.topic == CHECKPOINTS:
                            checkpoint = decoded(record)
                            self.checkpoints[checkpoint.team] = checkpoint
                        else:
                            event = of(record.value)
                            self.events[UUID(event.team)][event.seq] = event

    async def known(self, teams: list[UUID]) -> None:
        """Wait until all of these have a checkpoint."""
        await until(lambda: self.checkpoints.keys() >= set(teams), seconds=60)

    async def behind(self, team: UUID, seq: int) -> Checkpoint:
        """A checkpoint behind the seq, once it and every event up to it are here."""

        def there() -> bool:
            found = self.checkpoints[team].seq
            return found > seq and found in self.events[team]

        await until(there, seconds=60)
        return self.checkpoints[team]


@asynccontextmanager
async def busy(journal: JournalWriter, kafka: KafkaSettings) -> AsyncIterator[tuple[Busy, Heard]]:
    """Teams that are written to, and somebody who listens."""
    writer, heard = Busy(journal), Heard()
    async with anyio.create_task_group() as group:
        group.start_soon(writer.write)
        await until_answered(lambda: records_of(kafka, CHECKPOINTS), seconds=60)  # A consumer finds no topic to come.
        group.start_soon(heard.listen, kafka)
        yield writer, heard
        group.cancel_scope.cancel()


async def bootstrap(pools: Pools, team: UUID, form: Format, folder: Path) -> Path:
    """A file of the team as it is at this moment."""
    beginning = await begun(pools.worker, team)
    assert beginning is not None
    folder.mkdir()  # noqa: ASYNC240 (nothing waits for it)
    with Spool(folder / "spool") as spool:
        checkpoint = await folded(pools.worker, beginning, spool)
        await anyio.to_thread.run_sync(write, form, folder / f"file.{form}", checkpoint, spool)
    return folder / f"file.{form}"


def differing(path: Path, events: dict[int, Any], checkpoint: Checkpoint) -> list[str]:
    """How a copy that is begun with the file and goes on with the events differs from the checkpoint."""
    warehouse = open_warehouse()
    try:
        with warehouse.transaction():
            team, at = warehouse.begin(path)
            warehouse.take([events[seq] for seq in range(at["seq"] + 1, checkpoint.seq + 1)])
        found: list[str] = part("proof").differences(warehouse, team, to_builtins(checkpoint))
        return found
    finally:
        warehouse.close()


async def played(pools: Pools, journal: JournalWriter, kafka: KafkaSettings, folder: Path, rounds: int) -> int:
    """Play so many rounds, of which each must be proven; how many writes a second there were meanwhile."""
    async with publishing(pools, kafka), busy(journal, kafka) as (writer, heard):
        began, before = time.monotonic(), writer.written
        for number in range(rounds):
            if number % OF_THE_SAME == 0:
                await writer.begin()
                await heard.known(writer.teams)
            team, form = writer.teams[number % TEAMS], FORMATS[number % 2]
            path = await bootstrap(pools, team, form, folder / str(number))
            checkpoint = await heard.behind(team, await journal.head(team))
            found = await anyio.to_thread.run_sync(differing, path, dict(heard.events[team]), checkpoint)
            assert found == [], f"round {number}: {found} of {checkpoint}"
        return round((writer.written - before) / (time.monotonic() - began))


async def test_a_bootstrap_and_its_tail_are_what_the_checkpoint_says(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, tmp_path: Path
) -> None:
    await played(pools, journal, kafka, tmp_path, 2)


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_a_hundred_of_a_hundred_are_under_500_writes_a_second(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, tmp_path: Path
) -> None:
    rate = await played(pools, journal, kafka, tmp_path, share(ROUNDS))
    assert rate >= WRITES_PER_SECOND * 0.9
