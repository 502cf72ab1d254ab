"""The example warehouse over a broker: kept by the topics alone, whatever becomes of them, and proven."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka.admin import RecordsToDelete
from msgspec import structs

from core.checkpoints import Checkpoint
from core.events import HistoryRedacted
from db.bootstrap.folding import begun, folded
from db.bootstrap.spool import Spool
from db.pool import Pools
from db.redaction.history import redact_history
from streams.bootstrap import write
from streams.kafka.broker import administrating, producing
from streams.kafka.topics import TASK_EVENTS
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from tests.streams.test_checkpoints import checkpoint_at, publishing
from tests.support.apache_kafka import APACHE, empty
from tests.support.journal_writer import NOW, SOMEBODY, JournalWriter, a_task, created, deleted, updated
from tests.support.rewinding import Rewinding
from tests.support.topic_reader import reading
from tests.support.warehouse import open_warehouse, part

pytestmark = pytest.mark.anyio


@pytest.fixture
def kafka(kafka: KafkaSettings) -> KafkaSettings:
    return structs.replace(kafka, checkpoint_events=1, checkpoint_minutes=10_000.0)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Any]:
    opened = open_warehouse(tmp_path / "copy.duckdb")
    yield opened
    opened.close()


async def run(kafka: KafkaSettings, warehouse: Any) -> Any:
    """A run of the example, which is a process of its own: nothing but the database is left of the one before."""
    return await part("topic").Topic(kafka.bootstrap_servers, warehouse).run()


async def published(pools: Pools, kafka: KafkaSettings, team: UUID, seq: int) -> Checkpoint:
    """The checkpoint at the seq, once the topics have it and everything before."""
    async with publishing(pools, kafka):
        return await checkpoint_at(kafka, team, seq)


async def file_at(pools: Pools, team: UUID, seq: int, form: Any, folder: Path) -> Path:
    """A bootstrap of the team."""
    path, beginning = folder / f"{team}.{form}", await begun(pools.worker, team, seq)
    assert beginning is not None
    with Spool(folder / "spool") as spool:
        write(form, path, await folded(pools.worker, beginning, spool), spool)
    return path


async def test_it_is_built_from_the_beginning_kept_up_to_date_and_proven(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, warehouse: Any
) -> None:
    team, other = await journal.team(), await journal.team()
    tasks = [a_task(team, number, estimate=float(number)) for number in range(1, 5)]
    await journal.commit([created(task, seq) for seq, task in enumerate(tasks, 1)])
    await journal.append(other, 3)
    await published(pools, kafka, other, 3)
    await published(pools, kafka, team, 4)
    first = await run(kafka, warehouse)
    assert (first.taken, first.proven, first.lacking) == (7, {str(team): [], str(other): []}, {})
    assert (await run(kafka, warehouse)).taken == 0
    moved = structs.replace(tasks[1], rank="b", title="Ünïcödé \u2028")
    await journal.commit([updated(moved, 5, ranks={tasks[0].id: "c"}, rank="a0"), deleted(tasks[2], 6)])
    await published(pools, kafka, team, 6)
    second = await run(kafka, warehouse)
    assert (second.taken, second.proven) == (2, {str(team): []})
    assert sorted(warehouse.rows("select key from tasks where team = ?", str(team))) == [
        ("TEAM-1",), ("TEAM-2",), ("TEAM-4",)
    ]  # fmt: skip


async def test_what_somebody_else_wrote_into_the_topic_holds_nothing_up(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, warehouse: Any
) -> None:
    """Without the header of ours, it ended with a traceback, and the teams behind it were never taken."""
    team = await journal.team()
    await journal.append(team, 2)
    await published(pools, kafka, team, 2)
    async with producing(kafka) as producer:
        ends = await producer.partitions_for(TASK_EVENTS)
        for partition in ends:
            for headers in ([], [("tf-incarnation", b"\xff")], [("tf-incarnation", b"x")]):
                await producer.send_and_wait(TASK_EVENTS, b"\xffnone", partition=partition, headers=headers)
    await journal.append(team, 2)
    await published(pools, kafka, team, 4)
    found = await run(kafka, warehouse)
    assert (found.taken, found.foreign, found.proven[str(team)]) == (4, 3 * len(ends), [])


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_it_goes_on_behind_a_bootstrap(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, warehouse: Any, tmp_path: Path, form: str
) -> None:
    team = await journal.team()
    await journal.append(team, 20)
    assert part("__main__").begun(warehouse, await file_at(pools, team, 12, form, tmp_path)) == 0
    await published(pools, kafka, team, 20)
    done = await run(kafka, warehouse)
    assert (done.taken, done.proven, done.lacking) == (8, {str(team): []}, {})


async def test_what_comes_again_is_taken_once_and_in_another_life_of_the_broker_as_well(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, warehouse: Any, services: DevStack
) -> None:
    team = await journal.team()
    await journal.append(team, 30)
    await published(pools, kafka, team, 30)
    assert (await run(kafka, warehouse)).taken == 30
    await empty(services.kafka)
    await journal.append(team, 2)
    await published(pools, kafka, team, 32)
    again = await run(kafka, warehouse)
    assert (again.taken, again.proven) == (2, {str(team): []})
    assert len(warehouse.rows("select * from lives")) == 2
    warehouse.db.execute("delete from positions")
    assert (await run(kafka, warehouse)).taken == 0


async def test_what_a_restore_took_back_is_taken_back_here(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, superuser: "asyncpg.Connection", warehouse: Any
) -> None:
    rewinding, team = Rewinding(superuser), await journal.team()
    await journal.append(team, 3)
    await published(pools, kafka, team, 3)
    await rewinding.remember()
    await journal.append(team, 5)
    await published(pools, kafka, team, 8)
    assert (await run(kafka, warehouse)).proven == {str(team): []}
    await rewinding.rewind()
    await journal.append(team, 1)
    standing = await published(pools, kafka, team, 5)
    done = await run(kafka, warehouse)
    assert (done.proven, done.lacking) == ({str(team): []}, {})
    at = warehouse.team(str(team))
    assert (at.epoch, at.seq) == (standing.epoch, standing.seq) == (2, 5)


async def test_who_was_behind_the_restore_reads_over_what_has_not_happened(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, superuser: "asyncpg.Connection", warehouse: Any
) -> None:
    rewinding, team = Rewinding(superuser), await journal.team()
    await journal.append(team, 3)
    await published(pools, kafka, team, 3)
    assert (await run(kafka, warehouse)).taken == 3
    await rewinding.remember()
    await journal.append(team, 5)
    await published(pools, kafka, team, 8)
    await rewinding.rewind()
    await journal.append(team, 1)
    await published(pools, kafka, team, 5)
    assert (await run(kafka, warehouse)).proven == {str(team): []}
    assert warehouse.team(str(team)).seq == 5


async def forget_everything(kafka: KafkaSettings) -> None:
    """What the broker does with old segments, at once."""
    async with reading(kafka.bootstrap_servers, TASK_EVENTS) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
    async with administrating(kafka) as admin:
        for place, end in ends.items():
            if end:
                await admin.delete_records({place: RecordsToDelete(before_offset=end)})


@pytest.mark.skipif(not APACHE, reason="the embedded broker deletes no records: make test KAFKA=apache")
async def test_what_the_topic_has_forgotten_is_named_and_a_bootstrap_closes_the_hole(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, warehouse: Any, tmp_path: Path
) -> None:
    team = await journal.team()
    await journal.append(team, 10)
    await published(pools, kafka, team, 10)
    await forget_everything(kafka)
    await journal.append(team, 5)
    await published(pools, kafka, team, 15)
    done = await run(kafka, warehouse)
    assert (done.taken, done.lacking) == (0, {str(team): 11})
    part("__main__").begun(warehouse, await file_at(pools, team, 13, "parquet", tmp_path))
    warehouse.db.execute("delete from positions")
    done = await run(kafka, warehouse)
    assert (done.taken, done.proven, done.lacking) == (2, {str(team): []}, {})


async def test_what_is_redacted_is_forgotten_here_and_stays_proven(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, warehouse: Any
) -> None:
    team = await journal.team()
    gone = a_task(team, 1, title="Secret")
    await journal.commit([created(gone, 1), deleted(gone, 2)])
    await published(pools, kafka, team, 2)
    assert (await run(kafka, warehouse)).taken == 2
    assert "Secret" in str(warehouse.rows("select data from events"))
    await redact_history(pools.worker, team, [gone.id])
    redaction = HistoryRedacted(team_id=team, seq=3, actor_id=SOMEBODY, at=NOW, subjects=(gone.id,), through_seq=2)
    await journal.commit([redaction])
    await published(pools, kafka, team, 3)
    done = await run(kafka, warehouse)
    assert (done.taken, done.proven) == (1, {str(team): []})
    assert "Secret" not in str(warehouse.rows("select data from events")) + str(
        warehouse.rows("select thing from things")
    )
