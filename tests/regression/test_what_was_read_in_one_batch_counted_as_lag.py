"""A team's last events went out in one batch, were read by everybody, and its whole partition was shown as lag.

The embedded broker lists the offset after a batch's first record as the end, and a group that had committed more was
taken for one that came from another life of the broker. After the broker was wiped these were thousands of records.
"""

import anyio
import pytest

from db.pool import Pools
from streams.consumers.notifications import notifications
from streams.dead_letters.watching import FailureWatch, Group
from streams.kafka.broker import producing
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.topics import TASK_EVENTS
from streams.settings import KafkaSettings
from tests.support.consuming import caught_up, consuming
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NAME = "notifications"
PARTITION = 0


async def send(kafka: KafkaSettings, number: int) -> None:
    """So many records in one batch."""
    async with producing(kafka) as producer:
        batch = producer.create_batch()
        for _ in range(number):
            batch.append(key=None, value=b"no event", timestamp=None)
        batch.close()
        await (await producer.send_batch(batch, TASK_EVENTS, partition=PARTITION))


async def test_it_does_not(pools: Pools, kafka: KafkaSettings) -> None:
    monitor = BrokerMonitor(kafka, [NAME])
    watch = FailureWatch(pools.worker, kafka, monitor, [Group(NAME, TASK_EVENTS)], seconds=0.1)

    def lag() -> int:
        (backlog,) = watch.statistics().backlogs
        return backlog.lag[PARTITION]

    async with anyio.create_task_group() as group:
        await group.start(monitor.run)
        await monitor.known()
        await send(kafka, 3)
        await send(kafka, 12)
        group.start_soon(watch.run)
        # Nobody has read anything: all of it is before the group, also what the broker's list does not tell of.
        await until(lambda: watch.statistics().at and lag() == 15)
        async with consuming(notifications(pools.worker), kafka):
            await caught_up(kafka, f"taskforge.{NAME}", TASK_EVENTS, 30.0)
        before = watch.statistics().at
        await until(lambda: watch.statistics().at != before)
        await until(lambda: lag() == 0)
        group.cancel_scope.cancel()
