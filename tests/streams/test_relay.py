"""From the journal to the topics, against the real database and broker."""

import asyncio
import json
from functools import partial
from typing import Any
from uuid import UUID

import anyio
import pytest
from msgspec import structs

from core.codec import event_id
from core.events import AnyEvent
from db.journal import relay_cursors
from db.journal.relay_cursors import RANGES
from db.pool import Pools
from db.valkey import open_valkey
from streams.cloud_events import cloud_event
from streams.relay.relay import Relay
from streams.relay.replay import rewind
from streams.relay.wakeups import listen
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from tests.support.journal_writer import JournalWriter, a_task, created, deleted, updated
from tests.support.relaying import relaying
from tests.support.topic_reader import EVENTS, TASKS, read_count, read_until, reading, seqs_by_team
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_sixteen_writers_at_once_are_read_in_order_without_hole_or_repeat_and_to_the_byte(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    teams = [await journal.team() for _ in range(5)]
    wanted: dict[str, bytes] = {}

    async def write(number: int) -> None:
        for step in range(12):
            for event in await journal.append(teams[(number + step) % len(teams)], 1 + step % 4):
                wanted[event_id(event.row)] = cloud_event(event.row)

    async with relaying(pools, kafka) as (relay, _):
        async with asyncio.TaskGroup() as writers:
            for number in range(16):
                writers.create_task(write(number))
        records = await read_count(kafka.bootstrap_servers, EVENTS, len(wanted))
        await until(lambda: relay.statistics().published == len(wanted))

    assert {dict(record.headers)["event_id"].decode(): record.value for record in records} == wanted
    assert len(records) == len(wanted)
    for team_id, seqs in seqs_by_team(records).items():
        assert seqs == list(range(1, len(seqs) + 1)), team_id
    assert {record.key.decode() for record in records} == {str(team_id) for team_id in teams}


async def test_tasks_are_compacted_by_id_with_a_tombstone_and_neighbours_whose_rank_was_spread(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    moved, spread, later, gone = (a_task(team_id, number) for number in range(1, 5))
    await journal.store([structs.replace(spread, rank="a5", version=5), structs.replace(later, rank="a6", version=6)])
    ranks = {spread.id: "a5", later.id: "a5V", gone.id: "a7"}
    events: list[AnyEvent] = [created(task, seq) for seq, task in enumerate((moved, spread, later, gone), 1)]
    events += [
        updated(moved, 5, ranks=ranks),
        updated(structs.replace(later, rank="a6"), 6, title="before"),
        deleted(gone, 7),
    ]
    async with relaying(pools, kafka) as (relay, _):
        await journal.commit(events)
        await until(lambda: relay.statistics().published == len(events))
        records = await read_count(kafka.bootstrap_servers, TASKS, 8)

    last = {UUID(record.key.decode()): record.value for record in sorted(records, key=lambda r: r.timestamp)}
    states: dict[UUID, Any] = {task_id: json.loads(value) if value else None for task_id, value in last.items()}
    assert states[gone.id] is None
    assert (states[spread.id]["rank"], states[spread.id]["version"]) == ("a5", 5)
    assert (states[later.id]["rank"], states[later.id]["version"]) == ("a6", 6)
    assert states[moved.id]["version"] == 5


async def test_a_killed_broker_is_filled_again_from_the_first_event_and_goes_on(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, services: DevStack
) -> None:
    teams = [await journal.team() for _ in range(4)]
    async with relaying(pools, kafka) as (relay, monitor):
        stop = anyio.Event()

        async def write() -> None:
            while not stop.is_set():
                for team_id in teams:
                    await journal.append(team_id, 2)
                    relay.wake(team_id)

        async with anyio.create_task_group() as writers:
            writers.start_soon(write)
            await until(lambda: relay.statistics().published > 100)
            await services.kafka.kill()
            await services.kafka.start()
            began = anyio.current_time()
            await until(lambda: monitor.statistics().losses == 1 and relay.statistics().ready)
            took = anyio.current_time() - began
            stop.set()
        heads = {str(team_id): await journal.head(team_id) for team_id in teams}
        records = await read_count(kafka.bootstrap_servers, EVENTS, sum(heads.values()))
        assert relay.statistics().refills > 0

    assert seqs_by_team(records) == {team: list(range(1, head + 1)) for team, head in heads.items()}
    assert took < 20  # A JVM on a busy day; `make faults` holds it to five seconds.


async def test_a_relay_killed_between_acknowledgement_and_cursor_repeats_nothing(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams = [await journal.team() for _ in range(3)]
    for team_id in teams:
        await journal.append(team_id, 5)
    acknowledged = anyio.Event()

    async def never(*_: object) -> frozenset[UUID]:
        acknowledged.set()
        await anyio.sleep_forever()
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(relay_cursors, "advance", never)
        async with relaying(pools, kafka, kill=True):
            await acknowledged.wait()
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.statistics().spared == 15)
        await journal.append(teams[0], 1)
        await until(lambda: relay.statistics().published == 1)

    async with reading(kafka.bootstrap_servers, EVENTS) as consumer:
        records = await read_until(consumer, lambda records: len(records) >= 16)
    assert {UUID(team): seqs for team, seqs in seqs_by_team(records).items()} == {
        teams[0]: [1, 2, 3, 4, 5, 6],
        teams[1]: [1, 2, 3, 4, 5],
        teams[2]: [1, 2, 3, 4, 5],
    }


async def test_two_relays_share_the_ranges_and_a_killed_ones_are_taken_over(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    teams = [await journal.team() for _ in range(24)]
    async with relaying(pools, kafka) as (one, _):
        await until(lambda: len(one.statistics().ranges) == RANGES)
        async with relaying(pools, kafka, kill=True) as (two, _):
            await until(lambda: len(one.statistics().ranges) == len(two.statistics().ranges) == RANGES // 2)
            assert one.statistics().ranges.isdisjoint(two.statistics().ranges)
            for team_id in teams:
                await journal.append(team_id, 10)
            await until(lambda: one.statistics().published + two.statistics().published == 240)
            assert min(one.statistics().published, two.statistics().published) > 0
        for team_id in teams:
            await journal.append(team_id, 1)
        await until(lambda: len(one.statistics().ranges) == RANGES)
        records = await read_count(kafka.bootstrap_servers, EVENTS, 264)

    for seqs in seqs_by_team(records).values():
        assert seqs == list(range(1, 12))
    assert len(records) == 264


async def test_a_hole_stops_its_team_at_the_hole_and_nobody_else(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    holed, whole = await journal.team(), await journal.team()
    await journal.append(holed, 6)
    await journal.pool.execute("delete from task_events where team_id = $1 and seq = 4", holed)
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.statistics().halted)
        await journal.append(whole, 3)
        await until(lambda: relay.statistics().published == 6)
        assert relay.statistics().halted == {holed}

    assert f"the journal of team {holed} lacks event 4" in caplog.text
    assert await journal.cursor(holed) == 3
    records = await read_count(kafka.bootstrap_servers, EVENTS, 6)
    assert seqs_by_team(records) == {str(holed): [1, 2, 3], str(whole): [1, 2, 3]}


async def test_a_lost_lease_stops_the_publishing_and_is_taken_anew(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: len(relay.statistics().ranges) == RANGES)
        await journal.pool.execute(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()"
        )
        await until(lambda: not relay.statistics().ranges)
        await journal.append(team_id, 3)
        await until(lambda: relay.statistics().published == 3)

    assert seqs_by_team(await read_count(kafka.bootstrap_servers, EVENTS, 3)) == {str(team_id): [1, 2, 3]}


async def test_a_wake_up_over_valkey_brings_an_event_to_the_topic_without_a_sweep(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_id = await journal.team()
    async with relaying(pools, kafka) as (relay, _), open_valkey(valkey_url) as valkey:
        listening = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(listen, valkey, relay.wake, listening.set)
            await listening.wait()
            await until(lambda: relay.statistics().ready)
            monkeypatch.setattr("streams.relay.relay.SWEEP_SECONDS", 3600.0)
            for _ in range(11):
                before = relay.statistics().published
                await journal.append(team_id, 1)
                await valkey.publish("taskforge:committed", str(team_id))
                await until(partial(published_since, relay, before))
            assert relay.statistics().published == 11
            group.cancel_scope.cancel()


async def test_replayed_events_go_out_again_in_order_from_where_it_was_asked(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    one, two = await journal.team(), await journal.team()
    async with relaying(pools, kafka) as (relay, monitor):
        await journal.append(one, 6)
        await journal.append(two, 2)
        await until(lambda: relay.statistics().published == 8)
        assert await rewind(pools.worker, kafka, await monitor.known(), one, 3) == 1
        relay.sweep_soon()
        await until(lambda: relay.statistics().published == 11)
        records = await read_count(kafka.bootstrap_servers, EVENTS, 11)

    assert seqs_by_team(records) == {str(one): [1, 2, 3, 4, 5, 6, 4, 5, 6], str(two): [1, 2]}


async def test_a_relay_that_starts_after_a_replay_was_asked_for_does_not_take_the_old_records_for_its_own(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    team_id = await journal.team()
    async with relaying(pools, kafka) as (relay, monitor):
        await journal.append(team_id, 4)
        await until(lambda: relay.statistics().published == 4)
        incarnation = await monitor.known()
    assert await rewind(pools.worker, kafka, incarnation, None, 0) == 1
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.statistics().published == 4)
        assert relay.statistics().spared == 0

    records = await read_count(kafka.bootstrap_servers, EVENTS, 8)
    assert seqs_by_team(records) == {str(team_id): [1, 2, 3, 4, 1, 2, 3, 4]}


async def test_a_topic_that_somebody_asked_for_first_is_made_anew_with_our_partitions(
    pools: Pools, kafka: KafkaSettings
) -> None:
    async with reading(kafka.bootstrap_servers, EVENTS) as consumer:
        assert len(consumer.partitions_for_topic(EVENTS)) != kafka.partitions
    async with relaying(pools, kafka) as (_, monitor):
        await monitor.known()
    async with reading(kafka.bootstrap_servers, EVENTS) as consumer:
        assert len(consumer.partitions_for_topic(EVENTS)) == kafka.partitions


def published_since(relay: Relay, before: int) -> bool:
    return relay.statistics().published > before
