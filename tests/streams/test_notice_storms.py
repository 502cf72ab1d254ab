"""Notifications of events that come again and again: one row and one mail of each, and of old ones no mail."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from core.codec import JournalRow, encode
from core.mail_pace import MOST
from db.pool import Pools
from db.transaction import reading
from streams.cloud_events import cloud_event
from streams.consumers.notifications import notifications
from streams.kafka.topics import TASK_EVENTS, event_headers, team_key
from streams.mail.leaving import LeavingMails
from streams.settings import KafkaSettings
from tests.support.consuming import consuming, producing
from tests.support.journal_writer import NOW, SALT, JournalWriter, a_task, created
from tests.support.proofs import share
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def events(journal: JournalWriter, number: int) -> tuple[UUID, list[JournalRow]]:
    """So many tasks that become a member's, whose id comes first."""
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    rows = [encode(created(a_task(team_id, n, assignee_id=ann), n), salt=SALT).row for n in range(1, number + 1)]
    return ann, rows


async def heard(pools: Pools, kafka: KafkaSettings, rows: Sequence[JournalRow], later: timedelta = timedelta()) -> None:
    """The consumer reads these records, at so long after they were written."""
    plan = notifications(pools.worker, now=lambda: NOW + later)
    async with consuming(plan, kafka) as runner, producing(kafka) as producer:
        for row in rows:
            headers = event_headers(row, "one")
            await producer.send(TASK_EVENTS, cloud_event(row), key=team_key(row.team_id), headers=headers)
        await producer.flush()

        def done() -> bool:
            statistics = runner.statistics()
            return statistics.applied + statistics.passed >= len(rows)

        await until(done, 300)
        assert (runner.statistics().dead, runner.statistics().retried) == (0, 0)


async def counts(pools: Pools, ann: UUID) -> tuple[int, int]:
    """How many notifications there are, and how many of them are in mails that have left for the outbox, once each."""
    leaving = LeavingMails(pools.worker, now=lambda: NOW + 30 * DAY)
    await leaving.look()
    async with reading(pools.worker, None) as tx:
        told = await tx.fetchval("select count(*) from notifications where user_id = $1", ann)
        mails = [UUID(row["key"]) for row in await tx.fetch("select key from outbox")]
        parts = await tx.fetchval("select count(*) from notifications where mail_id = any ($1::uuid[])", mails)
    assert len(set(mails)) == len(mails)
    assert len(mails) <= MOST, "however many there are to tell of"
    return told, parts


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_sixty_four_deliveries_of_each_event_are_one_row_and_one_line_of_a_mail(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    number = share(1_000)
    ann, rows = await events(journal, number)
    many = [row for row in rows for _ in range(64)]
    Random(64).shuffle(many)
    await heard(pools, kafka, many)
    assert await counts(pools, ann) == (number, number)


async def test_a_history_that_comes_again_repeats_nothing_however_old_it_is(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    ann, rows = await events(journal, 20)
    await heard(pools, kafka, rows)
    assert await counts(pools, ann) == (20, 20)
    await heard(pools, kafka, rows, DAY)
    assert await counts(pools, ann) == (20, 20), "the topic was written anew"
    await journal.pool.execute("delete from inbox")
    await heard(pools, kafka, rows, 40 * DAY)
    assert await counts(pools, ann) == (20, 20), "and once more, when the marks of what was applied are forgotten"


async def test_a_history_that_nobody_had_heard_of_is_in_the_inbox_and_mails_nothing_old(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    ann, rows = await events(journal, 20)
    await heard(pools, kafka, rows, 40 * DAY)
    assert await counts(pools, ann) == (20, 0)
