"""From the outbox to its topics, against the real database and broker."""

import json
from uuid import UUID

import anyio
import asyncpg
import pytest
import uuid_utils.compat as uuids

from db import outbox
from db.outbox import AI_USAGE, JOBS, MAIL, put
from db.pool import Pools
from db.transaction import writing
from streams.kafka import topics
from streams.kafka.broker import administrating
from streams.kafka.monitor import BrokerMonitor
from streams.relay.publisher import Publisher
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from tests.support.outbox_moves import ids_by_key, moving, waiting, written
from tests.support.topic_reader import read_count, read_until, reading
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_rows_reach_their_topics_in_order_with_their_id_and_leave_the_outbox(
    pools: Pools, kafka: KafkaSettings
) -> None:
    ada, bob = str(uuids.uuid7()), str(uuids.uuid7())
    ids = await written(pools, [UUID(ada), UUID(bob)] * 10)
    jobs = await written(pools, [UUID(ada)] * 3, JOBS)
    usage = await written(pools, [UUID(bob)], AI_USAGE)
    async with moving(pools, kafka) as relay:
        await until(lambda: relay.statistics().moved == 24 and relay.statistics().ready)
        mails = await read_count(kafka.bootstrap_servers, MAIL, 20)
        assert ids_by_key(await read_count(kafka.bootstrap_servers, JOBS, 3)) == {ada: jobs}
        assert ids_by_key(await read_count(kafka.bootstrap_servers, AI_USAGE, 1)) == {bob: usage}

    assert ids_by_key(mails) == {ada: ids[::2], bob: ids[1::2]}
    for record in mails:
        value = json.loads(record.value)
        assert value == {"id": value["id"], "purpose": "verify-email", "subject": record.key.decode()}
        assert dict(record.headers) == {"event_id": value["id"].encode(), "content-type": b"application/json"}
    assert relay.statistics().waiting == await waiting(pools) == 0


async def test_the_trace_of_the_cause_travels_with_the_record(pools: Pools, kafka: KafkaSettings) -> None:
    async with writing(pools.api) as tx:
        await put(tx, MAIL, "verify-email", uuids.uuid7(), traceparent="00-0af7651916cd43dd8448eb211c80319c-01-01")
    async with moving(pools, kafka):
        (record,) = await read_count(kafka.bootstrap_servers, MAIL, 1)
    assert dict(record.headers)["traceparent"] == b"00-0af7651916cd43dd8448eb211c80319c-01-01"


async def test_a_row_for_nobody_is_deleted_in_its_turn_and_reaches_no_topic(pools: Pools, kafka: KafkaSettings) -> None:
    subjects = [uuids.uuid7() for _ in range(3)]
    first = await written(pools, subjects[:1])
    await written(pools, subjects[1:2], discard=True)
    last = await written(pools, subjects[2:])
    async with moving(pools, kafka) as relay:
        await until(lambda: relay.statistics().moved == 2 and relay.statistics().discarded == 1)
        await written(pools, [uuids.uuid7()] * 5, discard=True)
        await until(lambda: relay.statistics().discarded == 6)
        final = await written(pools, subjects[:1])
        records = await read_count(kafka.bootstrap_servers, MAIL, 3)

    assert {record.key.decode() for record in records} == {str(subjects[0]), str(subjects[2])}
    assert ids_by_key(records)[str(subjects[0])] == [*first, *final]
    assert ids_by_key(records)[str(subjects[2])] == last
    assert await waiting(pools) == 0


async def test_rows_wait_for_a_broker_that_is_down_and_leave_when_it_is_back(
    pools: Pools, kafka: KafkaSettings, services: DevStack
) -> None:
    subject = uuids.uuid7()
    async with moving(pools, kafka) as relay:
        await until(lambda: relay.statistics().ready)
        await services.kafka.kill()
        ids = await written(pools, [subject] * 3)
        relay.wake()
        await until(lambda: not relay.statistics().ready)
        assert await waiting(pools) == 3
        await services.kafka.start()
        await until(lambda: relay.statistics().ready and relay.statistics().moved == 3)
        records = await read_count(kafka.bootstrap_servers, MAIL, 3)

    assert ids_by_key(records) == {str(subject): ids}


async def test_rows_that_a_broker_acknowledged_and_forgot_before_they_were_deleted_go_again(
    pools: Pools, kafka: KafkaSettings, services: DevStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, wiped = Publisher.publish, 0

    async def acknowledged_then_lost(*arguments: object) -> None:
        nonlocal wiped
        await publish(*arguments)  # type: ignore[arg-type]
        if not wiped:
            wiped = 1
            await services.kafka.kill()
            await services.kafka.start()

    monkeypatch.setattr(Publisher, "publish", acknowledged_then_lost)
    subject = uuids.uuid7()
    ids = await written(pools, [subject] * 4)
    async with moving(pools, kafka) as relay:
        await until(lambda: relay.statistics().moved == 4)
        records = await read_count(kafka.bootstrap_servers, MAIL, 4)

    assert wiped
    assert ids_by_key(records) == {str(subject): ids}
    assert await waiting(pools) == 0


async def test_a_relay_killed_between_acknowledgement_and_deletion_sends_again_under_the_same_id_and_key(
    pools: Pools, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = uuids.uuid7()
    ids = await written(pools, [subject] * 3)
    acknowledged = anyio.Event()

    async def never(_: BrokerMonitor) -> None:
        acknowledged.set()
        await anyio.sleep_forever()

    with monkeypatch.context() as patch:
        patch.setattr(BrokerMonitor, "look", never)
        async with moving(pools, kafka, kill=True):
            await acknowledged.wait()
    assert await waiting(pools) == 3
    async with moving(pools, kafka) as relay:
        await until(lambda: relay.statistics().moved == 3)
        records = await read_count(kafka.bootstrap_servers, MAIL, 6)

    assert ids_by_key(records) == {str(subject): ids * 2}
    assert [dict(record.headers)["event_id"].decode() for record in records] == ids * 2
    assert await waiting(pools) == 0


async def test_a_relay_that_loses_its_database_session_while_publishing_deletes_nothing_and_sends_again(
    pools: Pools, kafka: KafkaSettings, superuser: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, cut = Publisher.publish, 0

    async def cut_off(*arguments: object) -> None:
        nonlocal cut
        await publish(*arguments)  # type: ignore[arg-type]
        if not cut:
            cut = await superuser.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where datname = current_database() and usename = 'taskforge_worker'"
            )

    monkeypatch.setattr(Publisher, "publish", cut_off)
    subject = uuids.uuid7()
    ids = await written(pools, [subject] * 2)
    async with moving(pools, kafka) as relay:
        await until(lambda: relay.statistics().moved == 2)
        records = await read_count(kafka.bootstrap_servers, MAIL, 4)

    assert cut
    assert ids_by_key(records) == {str(subject): ids * 2}


async def test_several_relays_move_every_row_once_and_each_subjects_in_order(
    pools: Pools, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.relay.outbox.ROUND_ROWS", 7)
    monkeypatch.setattr("streams.relay.outbox.LOOK_SECONDS", 0.01)
    subjects = [uuids.uuid7() for _ in range(5)]
    wanted: dict[str, list[str]] = {str(subject): [] for subject in subjects}

    async def write(subject: UUID) -> None:
        for _ in range(20):
            wanted[str(subject)] += await written(pools, [subject])

    async with moving(pools, kafka) as one, moving(pools, kafka) as two, moving(pools, kafka) as three:
        relays = (one, two, three)
        async with anyio.create_task_group() as writers:
            for subject in subjects:
                writers.start_soon(write, subject)
            while sum(relay.statistics().moved > 0 for relay in relays) < 2:  # One may be faster than the others.
                subject = uuids.uuid7()
                wanted[str(subject)] = await written(pools, [subject])
        number = sum(map(len, wanted.values()))
        await until(lambda: sum(relay.statistics().moved for relay in relays) == number)
        async with reading(kafka.bootstrap_servers, MAIL) as consumer:
            records = await read_until(consumer, lambda records: len(records) >= number)

    assert len(records) == number
    assert ids_by_key(records) == wanted


async def test_the_topics_of_the_outbox_are_made_as_planned(pools: Pools, kafka: KafkaSettings) -> None:
    async with moving(pools, kafka) as relay:
        await until(lambda: relay.statistics().ready)
        async with administrating(kafka) as admin:
            counts = await topics.partition_counts(admin)
    plans = {plan.name: plan for plan in topics.plans(kafka)}
    for name in outbox.TOPICS:
        assert counts[name] == plans[name].partitions == kafka.partitions
        assert plans[name].config["retention.ms"] == str(14 * 24 * 3600 * 1000)
        assert not plans[name].from_journal
