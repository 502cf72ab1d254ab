"""Once, a row left the outbox for good when the broker had acknowledged it: one that came back empty took it along.

What no consumer had read by then was lost, and so was what waited in a topic of delays: mails, thumbnails, jobs.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids

from db.outbox import JOBS, MAIL
from db.pool import Pools
from streams.settings import KafkaSettings
from taskforge.devstack import DevStack
from taskforge.settings import Settings
from tests.support.effect_stage import Stage, staging
from tests.support.effects import mails, once_each
from tests.support.outbox_moves import ids_by_key, moving, waiting, written
from tests.support.topic_reader import read_count
from tests.support.waiting import until, until_answered
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

SENT = "select count(*) from outbox_sent"


async def wiped(services: DevStack) -> None:
    await services.kafka.kill()
    await services.kafka.start()


async def test_what_was_acknowledged_and_not_read_is_in_its_topic_again_in_order(
    pools: Pools, kafka: KafkaSettings, services: DevStack
) -> None:
    ada, bob = str(uuids.uuid7()), str(uuids.uuid7())
    async with moving(pools, kafka) as relay:
        ids = await written(pools, [UUID(ada), UUID(bob)] * 5)
        jobs = await written(pools, [UUID(ada)] * 3, JOBS)
        await until(lambda: relay.statistics().moved == 13)
        await wiped(services)
        late = await written(pools, [UUID(ada)])
        await until(lambda: relay.statistics().moved == 27)
        found = await read_count(kafka.bootstrap_servers, MAIL, 11)
        assert ids_by_key(await read_count(kafka.bootstrap_servers, JOBS, 3)) == {ada: jobs}

    assert ids_by_key(found) == {ada: [*ids[::2], *late], bob: ids[1::2]}
    assert relay.statistics().given_back == 13
    assert await waiting(pools) == 0


async def test_a_relay_that_starts_after_the_loss_sends_again_what_another_one_had_sent(
    pools: Pools, kafka: KafkaSettings, services: DevStack
) -> None:
    subject = uuids.uuid7()
    async with moving(pools, kafka) as first:
        ids = await written(pools, [subject] * 3)
        await until(lambda: first.statistics().moved == 3)
    await wiped(services)
    async with moving(pools, kafka) as second:
        await until(lambda: second.statistics().moved == 3)
        assert ids_by_key(await read_count(kafka.bootstrap_servers, MAIL, 3)) == {str(subject): ids}
    async with moving(pools, kafka) as third:
        await until(lambda: third.statistics().ready)
    assert third.statistics().given_back == 0, "the broker lives the life that they were sent to"


@pytest.fixture
async def stage(settings: Settings, superuser: "asyncpg.Connection", tmp_path: Path) -> AsyncIterator[Stage]:
    async with staging(settings, superuser, tmp_path) as opened:
        yield opened


async def test_mails_that_were_lost_before_they_were_read_are_sent_once(stage: Stage, services: DevStack) -> None:
    planted = await mails(stage, 5)

    async def all_have_left() -> bool:
        return bool(await stage.superuser.fetchval(SENT) == 5)

    async with working(stage.settings, "relay"):
        await until_answered(all_have_left)
    await wiped(services)
    async with working(stage.settings, "relay", "mail") as worker:
        await until_answered(planted.complete)
        await wiped(services)
        # All five come again, and the inbox knows them.
        await until(lambda: consumer_of(worker, "mail").passed == 5, 60)
    assert consumer_of(worker, "mail").applied == 5
    once_each(planted, await planted.seen())


async def test_a_mail_that_waited_in_a_topic_of_delays_is_sent_once(stage: Stage, services: DevStack) -> None:
    stage.sink.said = "451 try again later"
    planted = await mails(stage, 1)
    async with working(stage.settings, "relay", "mail") as worker:
        await until(lambda: consumer_of(worker, "mail").retried >= 1)
        await wiped(services)
        stage.sink.said = None
        await until_answered(planted.complete, 60)
    once_each(planted, await planted.seen())
