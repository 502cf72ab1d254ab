"""A broker that is wiped and filled anew, and a history of long ago: nobody is told or mailed twice."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from core.task import Task
from db import outbox
from db.pool import Pools
from db.transaction import writing
from streams.mail.delivery import Mailbox
from streams.mail.digest import PURPOSE
from streams.settings import MailSettings
from taskforge.devstack import DevStack
from taskforge.parts.process import Process
from taskforge.settings import Settings
from tests.support.apache_kafka import empty
from tests.support.journal_writer import JournalWriter, a_task, created
from tests.support.waiting import until, until_answered
from tests.support.working import consumer_of, working

pytestmark = pytest.mark.anyio

LONG_AGO = date(2020, 1, 1)
GIVEN = re.compile(r"assigned ([A-Z0-9]+-\d+) “")


class Mailed:
    """A member to whom tasks are given, each in an event of its own; all are overdue."""

    def __init__(self, pools: Pools, journal: JournalWriter, mailbox: Path) -> None:
        self.pools, self.journal, self.mailbox = pools, journal, Mailbox(mailbox)
        self.tasks = list[Task]()

    async def open(self) -> "Mailed":
        self.team = await self.journal.team()
        self.ann: UUID = await self.journal.member(self.team, uuids.uuid7())
        await self.journal.pool.execute("update users set email_verified_at = now() where id = $1", self.ann)
        return self

    async def give(self, count: int) -> None:
        first = len(self.tasks) + 1
        fresh = [a_task(self.team, n, assignee_id=self.ann, due_on=LONG_AGO) for n in range(first, first + count)]
        self.tasks += fresh
        await self.journal.store(fresh)
        events = [structs.replace(created(one, one.number), at=datetime.now(UTC)) for one in fresh]
        await self.journal.commit(events)

    async def ask_for_a_digest(self) -> None:
        """As the schedule does it."""
        async with writing(self.pools.worker) as tx:
            await outbox.put(tx, outbox.MAIL, PURPOSE, self.ann)

    async def told(self) -> int:
        return int(await self.journal.pool.fetchval("select count(*) from notifications where user_id = $1", self.ann))

    def mails(self) -> list[str]:
        """The tasks that the mails say were given, one by one or in a list, and the digests."""
        mails = self.mailbox.read()
        given = [key for mail in mails for key in GIVEN.findall(" ".join(mail.text.split()))]
        return sorted([*given, *(mail.subject for mail in mails if "overdue" in mail.subject)])

    def expected(self) -> list[str]:
        return sorted([*(str(one.key) for one in self.tasks), "3 tasks are overdue"])


async def read_again(process: Process, mailed: Mailed) -> None:
    """The consumer has read every event once more since it had seen all."""
    before = consumer_of(process)
    total = before.applied + before.passed + len(mailed.tasks)

    def done() -> bool:
        now = consumer_of(process)
        return now.applied + now.passed >= total

    await until(done)


@pytest.mark.proof
async def test_neither_a_wiped_and_refilled_broker_nor_a_history_of_forty_days_ago_repeats_a_mail(
    settings: Settings, services: DevStack, pools: Pools, journal: JournalWriter, tmp_path: Path
) -> None:
    mail = MailSettings(mailbox=str(tmp_path / "mails"), quiet_seconds=0.0, longest_seconds=0.0, window_seconds=0.0)
    mailed = await Mailed(pools, journal, tmp_path / "mails").open()
    async with working(structs.replace(settings, mail=mail), "relay", "notifications", "mail") as process:
        await mailed.give(3)
        await mailed.ask_for_a_digest()
        await until(lambda: mailed.mails() == mailed.expected())
        await empty(services.kafka)
        await mailed.give(2)
        await until(lambda: mailed.mails() == mailed.expected())
        assert await mailed.told() == 5
        # As if the marks of what was applied were forgotten by now, too, and long before what had left the outbox.
        await journal.age("40 days")
        await journal.pool.execute("delete from inbox")
        await journal.pool.execute("delete from outbox_sent")
        await empty(services.kafka)
        await read_again(process, mailed)
        await until_answered(lambda: _nothing_waits(journal))
    assert await mailed.told() == 5
    assert mailed.mails() == mailed.expected()


async def _nothing_waits(journal: JournalWriter) -> bool:
    return not await journal.pool.fetchval(
        "select exists (select from outbox union all select from notification_mails)"
    )
