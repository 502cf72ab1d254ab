"""Checkpoints in their topic: true, behind the events that they count, and there again whatever was lost."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import anyio
import asyncpg
import msgspec
import pytest
from msgspec import structs

from core.checkpoints import Checkpoint, Ledger
from core.events import AnyEvent, HistoryRedacted
from db.journal.journal import PostgresJournal
from db.pool import Pools
from db.redaction.history import redact_history
from streams.cloud_events import parse_cloud_event
from streams.kafka.broker import administrating
from streams.kafka.topics import CHECKPOINTS, partition_counts
from streams.relay.checkpoints import CheckpointWriter
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from tests.support.apache_kafka import empty
from tests.support.journal_writer import NOW, SOMEBODY, JournalWriter, a_task, created, deleted, updated
from tests.support.relaying import relaying
from tests.support.rewinding import Rewinding
from tests.support.topic_reader import EVENTS, read_all, reading
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

EVERY = 5


@pytest.fixture
def kafka(kafka: KafkaSettings) -> KafkaSettings:
    return structs.replace(kafka, checkpoint_events=EVERY, checkpoint_minutes=10_000.0)


@asynccontextmanager
async def publishing(pools: Pools, kafka: KafkaSettings, *, kill: bool = False) -> AsyncIterator[CheckpointWriter]:
    """A relay, and who writes the checkpoints behind it."""
    async with relaying(pools, kafka) as (_, monitor):
        writer = CheckpointWriter(pools.worker, kafka, monitor)
        async with anyio.create_task_group() as group:
            await group.start(writer.run)
            try:
                yield writer
            finally:
                writer.stop()
                if kill:
                    group.cancel_scope.cancel()


async def checkpoint_at(kafka: KafkaSettings, team: UUID, seq: int) -> Checkpoint:
    """The team's checkpoint at a seq, as soon as the topic has it."""
    found: list[Checkpoint] = []

    async def is_there() -> bool:
        checkpoints = [decoded(record) for record in await records_of(kafka, CHECKPOINTS)]
        found[:] = [one for one in checkpoints if (one.team, one.seq) == (team, seq)]
        return bool(found)

    await until_answered(is_there)
    return found[-1]


async def records_of(kafka: KafkaSettings, topic: str) -> list[Any]:
    """What there is of a topic, which nobody's question for it may make."""
    async with administrating(kafka) as admin:
        made = topic in await partition_counts(admin)
    return await read_all(kafka.bootstrap_servers, topic) if made else []


def decoded(record: Any) -> Checkpoint:
    assert record.key.decode() == str(json.loads(record.value)["team"])
    return msgspec.json.decode(record.value, type=Checkpoint)


async def copy_of(kafka: KafkaSettings, team: UUID, seq: int) -> Ledger:
    """What a reader of the topic makes of the team's events up to a seq; each counts once."""
    ledger = Ledger()
    for record in await read_all(kafka.bootstrap_servers, EVENTS):
        row = parse_cloud_event(record.value or b"")
        if row.team_id == team and ledger.seq < row.seq <= seq:
            ledger.take(row)
    return ledger


async def until_published(kafka: KafkaSettings, journal: JournalWriter, team: UUID) -> None:
    """Until the topic of this life of the broker has all that the team has."""
    head = await journal.head(team)

    async def is_there() -> bool:
        return any(json.loads(record.value)["seq"] == head for record in await records_of(kafka, EVENTS))

    await until_answered(is_there)


async def test_a_checkpoint_comes_every_so_many_events_and_agrees_with_the_topic(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team = await journal.team()
    async with publishing(pools, kafka) as writer:
        await journal.append(team, 3)
        first = await checkpoint_at(kafka, team, 3)
        assert (await copy_of(kafka, team, 3)).differences(first) == []
        await journal.append(team, EVERY - 1)
        other = await journal.team()
        await journal.append(other, 1)
        await checkpoint_at(kafka, other, 1)
        assert writer.statistics().published == 2, "fewer events than so many are waited for"
        await journal.append(team, 1)
        second = await checkpoint_at(kafka, team, 3 + EVERY)
    assert (await copy_of(kafka, team, second.seq)).differences(second) == []
    assert (second.epoch, second.count, second.things["task"]) == (1, 8, 8)


async def test_after_so_much_time_one_event_is_enough(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team = await journal.team()
    hasty = structs.replace(kafka, checkpoint_events=1_000_000, checkpoint_minutes=0.001)
    async with publishing(pools, hasty):
        for seq in (1, 2, 3):
            await journal.append(team, 1)
            checkpoint = await checkpoint_at(kafka, team, seq)
            assert (await copy_of(kafka, team, seq)).differences(checkpoint) == []


async def test_a_long_history_is_taken_in_by_pages_with_neighbours_comments_and_what_is_gone(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.checkpoints.PAGE", 3)
    team = await journal.team()
    tasks = [a_task(team, number) for number in range(1, 8)]
    events: list[AnyEvent] = [created(task, seq) for seq, task in enumerate(tasks, 1)]
    events.append(
        updated(structs.replace(tasks[5], rank="b"), 8, ranks={tasks[0].id: "c", tasks[6].id: "d"}, rank="a0")
    )
    events.append(deleted(tasks[3], 9))
    events.append(updated(structs.replace(tasks[1], rank="b0"), 10, ranks={tasks[0].id: "e"}, rank="a0"))
    await journal.commit(events)
    async with publishing(pools, kafka) as writer:
        checkpoint = await checkpoint_at(kafka, team, 10)
    assert writer.statistics().pages >= 4
    copy = await copy_of(kafka, team, 10)
    assert copy.differences(checkpoint) == []
    assert copy.things.there["task", tasks[0].id]["rank"] == "e"


async def test_no_checkpoint_is_in_its_topic_before_its_event_is(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    """Whoever has a checkpoint finds its event in the topic, however busy the team is."""
    team = await journal.team()
    await journal.append(team, 1)
    async with publishing(pools, kafka):
        await checkpoint_at(kafka, team, 1)
    async with (
        publishing(pools, structs.replace(kafka, checkpoint_events=1)),
        reading(kafka.bootstrap_servers, CHECKPOINTS) as consumer,
        anyio.create_task_group() as group,
    ):

        async def write() -> None:
            for _ in range(60):
                await journal.append(team, 3)

        group.start_soon(write)
        seen = 0
        with anyio.fail_after(60):
            while seen < 181:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        checkpoint = decoded(record)
                        assert checkpoint.seq >= seen
                        seen = checkpoint.seq
                        copy = await copy_of(kafka, team, seen)
                        assert copy.differences(checkpoint) == []


async def test_a_broker_that_lost_everything_gets_them_anew_and_so_does_one_whose_topic_was_deleted(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, services: DevStack
) -> None:
    team = await journal.team()
    await journal.append(team, 4)
    async with publishing(pools, kafka):
        before = await checkpoint_at(kafka, team, 4)
    async with administrating(kafka) as admin:
        await admin.delete_topics([CHECKPOINTS])
    async with publishing(pools, kafka):
        assert await checkpoint_at(kafka, team, 4) == before
        await empty(services.kafka)
        assert await checkpoint_at(kafka, team, 4) == before


async def test_a_redaction_breaks_no_chain_and_the_new_life_of_the_topic_proves_it(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, services: DevStack
) -> None:
    """What the journal has forgotten comes again without its salt, and with the digest in its place."""
    team = await journal.team()
    kept, gone = a_task(team, 1), a_task(team, 2, title="Secret")
    await journal.commit([created(kept, 1), created(gone, 2), deleted(gone, 3)])
    async with publishing(pools, kafka):
        before = await checkpoint_at(kafka, team, 3)
        old_copy = await copy_of(kafka, team, 3)
        assert await redact_history(pools.worker, team, [gone.id]) == 1
        redaction = HistoryRedacted(team_id=team, seq=4, actor_id=SOMEBODY, at=NOW, subjects=(gone.id,), through_seq=3)
        await journal.commit([redaction, *(created(a_task(team, seq), seq) for seq in range(5, 5 + EVERY))])
        after = await checkpoint_at(kafka, team, 4 + EVERY)
        assert old_copy.differences(before) == []
        await empty(services.kafka)
        await until_published(kafka, journal, team)
        assert b"Secret" not in b"".join(record.value for record in await read_all(kafka.bootstrap_servers, EVENTS))
        assert (await copy_of(kafka, team, 3)).differences(before) == []
        assert (await copy_of(kafka, team, after.seq)).differences(after) == []
    assert (before.redacted_seq, after.redacted_seq) == (0, 4)


async def test_a_restored_team_gets_checkpoints_of_the_history_that_stands(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, superuser: "asyncpg.Connection"
) -> None:
    rewinding, team = Rewinding(superuser), await journal.team()
    await journal.append(team, 3)
    async with publishing(pools, kafka):
        await checkpoint_at(kafka, team, 3)
    await rewinding.remember()
    await journal.append(team, EVERY)
    async with publishing(pools, kafka):
        lost = await checkpoint_at(kafka, team, 3 + EVERY)
    await rewinding.rewind()
    await journal.append(team, 1)
    async with publishing(pools, kafka):
        standing = await checkpoint_at(kafka, team, 5)
    copy = Ledger()
    for row in await PostgresJournal(pools).read(team, 0):
        copy.take(row)
    assert copy.differences(standing) == []
    assert (lost.epoch, standing.epoch) == (1, 2)
    assert standing.chain != lost.chain


async def test_a_worker_that_was_killed_leaves_it_to_the_next_and_two_at_once_publish_the_same(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.checkpoints.PAGE", 2)
    teams = [await journal.team() for _ in range(6)]
    for team in teams:
        await journal.append(team, 9)
    async with publishing(pools, kafka, kill=True) as writer:
        await until(lambda: writer.statistics().pages > 5)
    async with publishing(pools, kafka), publishing(pools, kafka):
        for team in teams:
            checkpoint = await checkpoint_at(kafka, team, 9)
            assert (await copy_of(kafka, team, 9)).differences(checkpoint) == []
