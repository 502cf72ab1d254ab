"""Each kind of consumer behind the real broker: what it does with failures, waiting events and old ones."""

from datetime import timedelta

import asyncpg
import pytest

from core.codec import JournalRow, event_id
from db.pool import Pools
from db.transaction import Writing
from streams.consumers.outbound import Outbound, outbound
from streams.consumers.plan import ConsumerPlan
from streams.consumers.projection import projected
from streams.kafka.topics import TASK_EVENTS, dlq_topic
from streams.settings import KafkaSettings
from tests.streams.test_outbound import CONSUMER, event, recording
from tests.support.consuming import consuming, producing, publish
from tests.support.journal_writer import NOW, JournalWriter
from tests.support.topic_reader import read_count
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_receiver_that_is_down_for_a_moment_gets_the_event_under_the_same_id(
    pools: Pools, kafka: KafkaSettings
) -> None:
    async with recording() as recorder:
        recorder.status = 503
        plan = ConsumerPlan(CONSUMER, TASK_EVENTS, outbound(pools.worker, Outbound(effect=recorder, now=lambda: NOW)))
        async with consuming(plan, kafka) as runner, producing(kafka) as producer:
            await publish(producer, event())
            await until(lambda: runner.statistics().retried == 1)
            recorder.status = 200
            await until(lambda: runner.statistics().applied == 1)
        assert recorder.ids == [event_id(event())] * 2


async def test_gone_receivers_old_events_and_events_in_hand_each_go_their_way(
    pools: Pools, kafka: KafkaSettings, superuser: "asyncpg.Connection"
) -> None:
    """Dead letters for the first, nothing for the second; the third waits without counting as a failed attempt."""
    times = [NOW]
    async with recording() as recorder:
        wanted = Outbound(effect=recorder, now=lambda: times[0])
        async with (
            consuming(ConsumerPlan(CONSUMER, TASK_EVENTS, outbound(pools.worker, wanted)), kafka) as runner,
            producing(kafka) as producer,
        ):
            recorder.status = 410
            await publish(producer, event(1))
            await until(lambda: runner.statistics().dead == 1)

            recorder.status = 200
            await superuser.execute(
                "insert into inbox (consumer, event_id, claimed_until) values ($1, $2, now() + interval '1 hour')",
                CONSUMER,
                event_id(event(2)),
            )
            await publish(producer, event(2))
            await until(lambda: runner.statistics().held == 1)
            await superuser.execute("update inbox set claimed_until = now() where event_id = $1", event_id(event(2)))
            await until(lambda: runner.statistics().applied == 1)

            times[0] = NOW + timedelta(days=15)
            await publish(producer, event(3))
            await until(lambda: runner.statistics().expired == 1)
            statistics = runner.statistics()

    assert (statistics.retried, statistics.dead, statistics.applied, statistics.expired) == (0, 1, 1, 1)
    assert recorder.ids == [event_id(event(1)), event_id(event(2))]
    (dead,) = await read_count(kafka.bootstrap_servers, dlq_topic(CONSUMER), 1)
    assert dict(dead.headers)["event_id"].decode() == event_id(event(1))


async def test_an_ordered_projection_heals_what_its_topic_lost_and_repeated(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    seen: list[int] = []

    async def apply(_: Writing, row: JournalRow) -> None:
        seen.append(row.seq)

    async def forget(_: Writing, __: object) -> None:
        seen.clear()

    team_id = await journal.team()
    rows = [one.row for one in await journal.append(team_id, 6)]
    plan = ConsumerPlan("statistics", TASK_EVENTS, projected(pools.worker, apply, forget))
    async with consuming(plan, kafka) as runner, producing(kafka) as producer:
        for row in (rows[1], rows[0], rows[1], rows[5], rows[3]):
            await publish(producer, row)
        await until(lambda: runner.statistics().applied + runner.statistics().passed == 5)
    assert seen == [1, 2, 3, 4, 5, 6]
