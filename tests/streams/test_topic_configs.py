"""Topics that were made under other settings: changed where they may be, told of where they may not, and never lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from msgspec import structs

from db.pool import Pools
from streams.kafka.broker import administrating
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.topic_configs import PARTITIONS, Difference, differences, settle
from streams.kafka.topics import TASK_EVENTS, plans
from streams.settings import KafkaSettings
from taskforge.commands import doctor
from tests.support.apache_kafka import APACHE
from tests.support.journal_writer import JournalWriter
from tests.support.relaying import relaying
from tests.support.topic_reader import EVENTS, read_until, reading, seqs_by_team
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

alters = pytest.mark.skipif(not APACHE, reason="the embedded broker changes no topic: make test KAFKA=apache")


@asynccontextmanager
async def watching(kafka: KafkaSettings) -> AsyncIterator[BrokerMonitor]:
    """A monitor that has made its topics and compared them."""
    monitor = BrokerMonitor(kafka)
    async with anyio.create_task_group() as group:
        await group.start(monitor.run)
        with anyio.fail_after(30):
            await monitor.known()
        yield monitor
        group.cancel_scope.cancel()


async def differing(kafka: KafkaSettings) -> list[Difference]:
    async with administrating(kafka) as admin:
        return list(await differences(admin, plans(kafka), kafka.replicas))


async def test_topics_as_they_are_made_are_as_planned(kafka: KafkaSettings) -> None:
    async with watching(kafka) as monitor:
        assert await differing(kafka) == []
        assert monitor.statistics().differing == 0


async def test_other_partitions_are_told_of_and_never_changed(kafka: KafkaSettings, caplog: Any) -> None:
    async with watching(kafka):
        pass
    other = structs.replace(kafka, partitions=kafka.partitions + 1)
    async with watching(other) as monitor:
        await until(lambda: monitor.statistics().differing > 0)
        found = await differing(other)
        assert {(one.name, one.wanted, one.found) for one in found} == {
            (PARTITIONS, str(kafka.partitions + 1), str(kafka.partitions))
        }
    assert f"{TASK_EVENTS}: partitions is {kafka.partitions}, the settings say {kafka.partitions + 1}" in caplog.text
    findings = await doctor._kafka(other)
    assert any(not one.well and "docs/topics.md" in one.remedy for one in findings)
    assert all(one.well for one in await doctor._kafka(kafka))


@pytest.mark.skipif(APACHE, reason="Apache Kafka changes them")
async def test_what_the_broker_cannot_change_is_told_of(kafka: KafkaSettings) -> None:
    async with watching(kafka):
        pass
    other = structs.replace(kafka, event_days=2.0)
    async with watching(other) as monitor:
        await until(lambda: monitor.statistics().differing > 0)
    assert {one.name for one in await differing(other)} == {"retention.ms", "segment.ms"}


@alters
async def test_other_retention_is_set_at_the_next_start_and_what_others_have_set_stays(kafka: KafkaSettings) -> None:
    async with watching(kafka):
        pass
    async with administrating(kafka) as admin:
        (plan,) = (plan for plan in plans(kafka) if plan.name == TASK_EVENTS)
        await admin.alter_configs([of_events({**plan.config, "flush.messages": "12345"})])
        await until_answered(lambda: has(admin, "flush.messages", "12345"))
    other = structs.replace(kafka, event_days=2.0, compaction_hours=1.0)
    async with watching(other) as monitor, administrating(kafka) as admin:
        await until_answered(lambda: has(admin, "retention.ms", str(2 * 24 * 3600 * 1000)))
        assert await has(admin, "flush.messages", "12345")
        await until_answered(lambda: none_differ(other))
        assert monitor.statistics().differing == 0
        assert await settle(admin, plans(other), other.replicas) == []


def of_events(config: dict[str, str]) -> ConfigResource:
    return ConfigResource(ConfigResourceType.TOPIC, TASK_EVENTS, config)


async def has(admin: AIOKafkaAdminClient, name: str, value: str) -> bool:
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TASK_EVENTS)])
    ((_, _, _, _, entries),) = answer.resources
    return any((entry[0], entry[1]) == (name, value) for entry in entries)


async def none_differ(kafka: KafkaSettings) -> bool:
    return await differing(kafka) == []


@pytest.mark.skipif(not APACHE, reason="the embedded broker deletes no records: make test KAFKA=apache")
@pytest.mark.parametrize("left", [0, 2], ids=["nothing left", "some left"])
async def test_records_that_retention_has_deleted_are_no_loss_and_are_not_written_again(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings, left: int
) -> None:
    """Neither while a relay runs, nor for the next one, not even where the last one died before its cursor's step."""
    kafka = structs.replace(kafka, partitions=1)
    teams = [await journal.team() for _ in range(3)]
    for team in teams:
        await journal.append(team, 6)
    async with relaying(pools, kafka) as (relay, monitor):
        await until(lambda: relay.statistics().published == 18)
        incarnation = await monitor.known()
        await forget_all_but(kafka, left)
        await journal.append(teams[0], 2)
        await until(lambda: relay.statistics().published == 20)
        assert await monitor.known() == incarnation
    await forget_all_but(kafka, left)
    await journal.pool.execute(
        "update relay_cursors set published_seq = published_seq - 1 where team_id = $1", teams[1]
    )
    async with relaying(pools, kafka) as (relay, monitor):
        await journal.append(teams[2], 1)
        await until_answered(lambda: all_published(journal))
        assert relay.statistics().published <= 2, "the new event, and the one whose end nobody remembers"
        assert relay.statistics().refills == 0
        assert (await monitor.known(), monitor.statistics().losses) == (incarnation, 0)
    assert await journal.pool.fetchval("select max(epoch) from teams") == 1
    assert seqs_by_team(await read_all_left(kafka))[str(teams[2])][-1] == 7


async def forget_all_but(kafka: KafkaSettings, left: int) -> None:
    """What the broker does with old segments, at once."""
    async with administrating(kafka) as admin:
        place = TopicPartition(TASK_EVENTS, 0)
        end = max(record.offset for record in await read_all_left(kafka)) + 1
        await admin.delete_records({place: RecordsToDelete(before_offset=end - left)})


async def all_published(journal: JournalWriter) -> bool:
    found: int = await journal.pool.fetchval(
        "select count(*) from teams t join relay_cursors c on c.team_id = t.id where c.published_seq < t.seq"
    )
    return found == 0


async def read_all_left(kafka: KafkaSettings) -> list[Any]:
    async with reading(kafka.bootstrap_servers, EVENTS) as consumer:
        places = consumer.assignment()
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        count = sum(ends.values()) - sum(begins.values())
        return await read_until(consumer, lambda records: len(records) >= count)
