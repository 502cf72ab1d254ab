"""A database that was put back with its disk says nothing of it: the topic does, for each team that lost events."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import anyio
import asyncpg
import pytest
import uuid_utils.compat as uuids

from core.codec import event_id
from db.journal import relay_cursors
from db.journal.journal import PostgresJournal
from db.journal.lost_histories import Lost, Witnessed, contradicted, first_differences, note_lost
from db.pool import Pools
from streams.kafka.monitor import BrokerMonitor
from streams.relay import histories
from streams.relay.relay import Relay
from streams.relay.replay import rewind
from streams.settings import KafkaSettings
from tests.support.example_consumer import example
from tests.support.journal_writer import JournalWriter, a_task, created, deleted, updated
from tests.support.relaying import relaying
from tests.support.rewinding import Rewinding
from tests.support.topic_reader import EVENTS, TASKS, read_all

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rewinding(superuser: "asyncpg.Connection") -> Rewinding:
    return Rewinding(superuser)


async def publish(pools: Pools, kafka: KafkaSettings, journal: JournalWriter, *teams: UUID) -> None:
    """A worker's life, until all that these teams have is in the topic."""
    async with relaying(pools, kafka) as (relay, _):
        await until_published(relay, journal, *teams)


async def until_published(relay: Relay, journal: JournalWriter, *teams: UUID) -> None:
    with anyio.fail_after(30):
        while not relay.ready or any([await journal.cursor(team) != await journal.head(team) for team in teams]):
            await anyio.sleep(0.01)


async def epochs(pools: Pools, *teams: UUID) -> list[int]:
    found = await PostgresJournal(pools).position(teams)
    return [found[team].epoch for team in teams]


async def numbers(pools: Pools, team: UUID) -> list[tuple[int, int, str]]:
    return [(row.epoch, row.seq, row.type) for row in await PostgresJournal(pools).read(team, 0)]


async def standing(kafka: KafkaSettings, journal: JournalWriter, team: UUID) -> dict[str, Any]:
    """What the example consumer has of the team's tasks in the end, once no event id has two contents."""
    head = await journal.head(team)
    records = await read_all(kafka.bootstrap_servers, EVENTS)
    events = [json.loads(record.value) for record in records if record.key.decode() == str(team)]
    contents: dict[str, set[str]] = {}
    for event in events:
        contents.setdefault(event["id"], set()).add(json.dumps(event, sort_keys=True))
    assert not [name for name, found in contents.items() if len(found) > 1], "an event id has two contents"
    boards, place, overs = example().Boards(), 0, 0
    while place < len(events):
        try:
            boards.take(events[place], {"tf-incarnation": b"one"})
            place += 1
        except example().StartOver:
            place, overs = 0, overs + 1
            assert overs < 10, "the consumer starts over and over"
    assert boards.teams[str(team)].at[1] == head
    tasks: dict[str, Any] = boards.teams[str(team)].tasks
    return tasks


def ids(events: Sequence[Any]) -> set[str]:
    return {str(encoded.event.task.id) for encoded in events}


async def test_a_topic_that_is_ahead_of_the_journal_begins_a_new_epoch_of_that_team_alone(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, rewinding: Rewinding
) -> None:
    team, calm = await journal.team(), await journal.team()
    kept = await journal.append(team, 3)
    await journal.append(calm, 5)
    await publish(pools, kafka, journal, team, calm)
    await rewinding.remember()
    await journal.append(team, 4)
    await publish(pools, kafka, journal, team, calm)
    await rewinding.rewind()
    await publish(pools, kafka, journal, team, calm)
    assert await epochs(pools, team, calm) == [2, 1]
    assert (await numbers(pools, team))[-1] == (2, 4, "team.restored")
    assert set(await standing(kafka, journal, team)) == ids(kept)
    await publish(pools, kafka, journal, team, calm)
    assert await epochs(pools, team, calm) == [2, 1], "noticed once"


@pytest.mark.parametrize("since", [2, 4, 9])
async def test_what_was_written_before_anybody_noticed_is_of_the_new_epoch(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, rewinding: Rewinding, since: int
) -> None:
    """Under the seqs of lost events: fewer than those, as many, and more, so that only the contents differ."""
    team = await journal.team()
    kept = await journal.append(team, 3)
    await publish(pools, kafka, journal, team)
    await rewinding.remember()
    await journal.append(team, 4)
    await publish(pools, kafka, journal, team)
    await rewinding.rewind()
    written = await journal.append(team, since)
    await publish(pools, kafka, journal, team)
    found = await numbers(pools, team)
    assert [epoch for epoch, _, _ in found] == [1] * 3 + [2] * (since + 1)
    assert found[-1][2] == "team.restored"
    assert set(await standing(kafka, journal, team)) == ids([*kept, *written])


async def test_a_database_that_went_back_before_its_last_restore_gets_an_epoch_above_that(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, rewinding: Rewinding
) -> None:
    team = await journal.team()
    kept = await journal.append(team, 5)
    await publish(pools, kafka, journal, team)
    await rewinding.remember()
    await relay_cursors.back_to_differences(pools.worker, {team: 4})
    await note_lost(pools.writer, {team: Lost(1, 4)})
    await PostgresJournal(pools).lose(team, (await PostgresJournal(pools).position([team]))[team])
    await journal.append(team, 2)
    await publish(pools, kafka, journal, team)
    await rewinding.rewind()
    await publish(pools, kafka, journal, team)
    assert await epochs(pools, team) == [3]
    assert [epoch for epoch, _, _ in await numbers(pools, team)] == [1, 1, 1, 3, 3, 3]
    assert set(await standing(kafka, journal, team)) == ids(kept)


async def test_a_database_that_goes_back_under_a_running_worker_is_noticed_by_its_cursors(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, rewinding: Rewinding
) -> None:
    team = await journal.team()
    kept = await journal.append(team, 3)
    async with relaying(pools, kafka) as (relay, _):
        await until_published(relay, journal, team)
        await rewinding.remember()
        await journal.append(team, 4)
        await until_published(relay, journal, team)
        await rewinding.rewind()
        written = await journal.append(team, 1)
        await until_published(relay, journal, team)
        while await epochs(pools, team) == [1]:
            relay.sweep_soon()
        await until_published(relay, journal, team)
    assert [epoch for epoch, _, _ in await numbers(pools, team)] == [1, 1, 1, 2, 2]
    assert set(await standing(kafka, journal, team)) == ids([*kept, *written])


async def test_whoever_lags_or_repeats_has_lost_nothing(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team = await journal.team()
    await journal.append(team, 6)
    await publish(pools, kafka, journal, team)
    await journal.append(team, 2)
    await journal.pool.execute("update relay_cursors set published_seq = 2")
    await publish(pools, kafka, journal, team)
    async with relaying(pools, kafka) as (relay, monitor):
        await until_published(relay, journal, team)
        await rewind(pools.worker, kafka, await known(monitor), team, 3)
        await until_published(relay, journal, team)
    await publish(pools, kafka, journal, team)
    assert await epochs(pools, team) == [1]


async def known(monitor: BrokerMonitor) -> str:
    return await monitor.known()


async def test_the_compacted_topic_is_written_anew_for_a_restored_team(
    pools: Pools,
    journal: JournalWriter,
    kafka: KafkaSettings,
    rewinding: Rewinding,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that the lost history deleted comes back even when the topic has forgotten that it ever was."""
    monkeypatch.setattr(histories, "TASKS_AT_ONCE", 2)
    team = await journal.team()
    tasks = [a_task(team, number) for number in range(1, 6)]
    await journal.store(tasks)
    await journal.commit([created(task, task.number) for task in tasks])
    await publish(pools, kafka, journal, team)
    await rewinding.remember()
    made = [a_task(team, number) for number in (6, 7, 8)]
    await journal.store(made)
    await journal.commit([created(task, task.number) for task in made])
    await journal.pool.execute("delete from tasks where id = $1", tasks[1].id)
    await journal.commit([deleted(tasks[1], 9), updated(tasks[2], 10, title="before")])
    await publish(pools, kafka, journal, team)
    await rewinding.rewind()
    await publish(pools, kafka, journal, team)
    records = sorted(await read_all(kafka.bootstrap_servers, TASKS), key=lambda record: record.timestamp)
    state = {UUID(record.key.decode()): record for record in records}
    assert {task_id for task_id, record in state.items() if record.value is None} == {task.id for task in made}
    for task in tasks:
        assert json.loads(state[task.id].value or b"{}")["version"] == task.version
        assert dict(state[task.id].headers)["event_id"].decode() == f"{team}:2:6"


async def test_what_cannot_be_told_or_was_never_an_epoch_is_no_sign(pools: Pools, journal: JournalWriter) -> None:
    team = await journal.team()
    events = await journal.append(team, 3)
    last = events[-1].row

    async def sign(epoch: int, seq: int, digest: bytes = b"") -> bool:
        return team in await contradicted(pools.worker, [Witnessed(team, epoch, seq, digest)])

    assert not await sign(1, 3, last.digest)
    assert not await sign(1, 3), "redacted there"
    assert not await sign(1, 2, events[1].row.digest)
    assert not await sign(2**40, 3)
    assert not await sign(0, 99)
    assert await sign(1, 3, events[1].row.digest)
    assert await sign(1, 4)
    assert await sign(2, 1)
    nobody = uuids.uuid7()
    assert not await contradicted(pools.worker, [Witnessed(nobody, 1, 1)])
    assert await contradicted(pools.worker, []) == []
    assert await first_differences(pools.worker, [Witnessed(team, 1, 2, b"x" * 32), Witnessed(team, 1, 3)]) == {team: 2}
    assert event_id(last) == f"{team}:1:3"


async def test_a_team_whose_epoch_has_risen_meanwhile_is_not_raised_again(
    pools: Pools, journal: JournalWriter, superuser: "asyncpg.Connection"
) -> None:
    team = await journal.team()
    await journal.append(team, 3)
    await superuser.execute("update teams set epoch = 2 where id = $1", team)
    await note_lost(pools.writer, {team: Lost(1, 2)})
    assert not (await PostgresJournal(pools).position([team]))[team].due
    await note_lost(pools.writer, {team: Lost(2, 3)})
    await note_lost(pools.writer, {team: Lost(4, None)})
    row = await superuser.fetchrow("select above_epoch, from_seq from epochs_due")
    assert row is not None
    assert (row["above_epoch"], row["from_seq"]) == (4, 3)
