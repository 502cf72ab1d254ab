"""Schedulers in processes of their own, killed as by kill -9 between a claim and its effect: one effect each."""

import email
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import structs

from core.secret import Secret
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support import databases
from tests.support.mail_sink import Sink, mail_sink
from tests.support.site import serving, settings_for
from tests.support.town import Town
from tests.support.waiting import until, until_answered
from tests.support.worker_process import WorkerProcess, held, worker_process
from tests.taskforge.test_cli import external

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(300)]

SECONDS: Final = 60.0
RUN_OUT: Final = "update inbox set claimed_until = now() where claimed_until is not null"
"""Whoever dies at a mail leaves a claim on it of 50 s, for which no test waits."""
PASSED: Final = 'taskforge_consumer_passed_total{consumer="recurrence"}'


@pytest.fixture
def environment(
    services: DevStack,
    database: DatabaseSettings,
    kafka_bootstrap: str,
    tmp_path: Path,
    no_taskforge_environment: pytest.MonkeyPatch,
) -> dict[str, str]:
    no_taskforge_environment.chdir(tmp_path)  # Where nobody has left the data of an embedded system.
    return external(services, database)


@pytest.fixture
def url(services: DevStack, database: DatabaseSettings) -> str:
    return databases.superuser_url(services, database)


@asynccontextmanager
async def two_killed(
    url: str, environment: dict[str, str], begins: Callable[[WorkerProcess], None] = lambda _: None
) -> AsyncIterator[WorkerProcess]:
    """A worker whose two forerunners died in the middle of a firing, before its marks and before its jobs.

    Each stood by while the one before it led; whoever waits for one of these tables has claimed its schedule. `begins`
    hears of the worker before it does anything.
    """
    async with AsyncExitStack() as stack:
        async with held(url, "outbox") as waits_for_outbox:
            async with held(url, "schedule_marks") as waits_for_marks:
                first = await stack.enter_async_context(worker_process(environment, "scheduler", until_ready=False))
                await until_answered(waits_for_marks, SECONDS)
                second = await stack.enter_async_context(worker_process(environment, "scheduler"))
                first.kill()
                await first.gone()
            await until_answered(waits_for_outbox, SECONDS)
            # Its mover of the outbox waits, too, so that it is not ready yet.
            third = await stack.enter_async_context(worker_process(environment, until_ready=False))
            begins(third)
            second.kill()
            await second.gone()
        yield third


def digests(sink: Sink) -> list[str]:
    """The ids of the digests that came."""
    messages: list[Any] = [email.message_from_bytes(data, policy=SMTP) for data in list(sink.mails)]
    return [str(one["Message-ID"]) for one in messages if "overdue" in str(one["Subject"])]


async def test_schedulers_that_die_in_a_firing_and_a_sender_that_dies_after_it_send_one_digest(
    environment: dict[str, str], superuser: Any, url: str, tmp_path: Path
) -> None:
    now, town = datetime.now(UTC), Town(superuser)
    ada = await town.user("Ada", hour=now.hour)
    await town.task(await town.team(ada), ada, due_on=date(2020, 1, 1))
    await town.run("insert into schedules (name, fired_until) values ('digest', $1)", now - timedelta(hours=2))
    with mail_sink(tmp_path) as (sink, smtp, _):
        environment |= {
            "TASKFORGE_MAIL__URL": smtp,
            "TASKFORGE_MAIL__FROM": "TaskForge <hello@tasks.example>",
            "SSL_CERT_FILE": str(tmp_path / "certificate.pem"),
        }

        def dies_at_its_first_mail(worker: WorkerProcess) -> None:
            """It never hears that the mail was taken, so that whoever comes next sends it again, as it was."""
            sink.at = lambda point: worker.kill() if point == "DATA" else None

        async with two_killed(url, environment, dies_at_its_first_mail) as third:
            await until(lambda: digests(sink), SECONDS)
            await third.gone()
            await superuser.execute(RUN_OUT)
            async with worker_process(environment):
                await until_answered(lambda: _all_is_sent(superuser), SECONDS)
    assert len(digests(sink)) == 2
    assert len(set(digests(sink))) == 1
    assert len(set(sink.mails)) == 1, "the same to the byte"
    assert await superuser.fetchval("select count(*) from schedule_marks where schedule = 'digest'") == 1


async def _all_is_sent(superuser: Any) -> bool:
    waiting = await superuser.fetchval("select count(*) from outbox")
    states = await superuser.fetch("select claimed_until from inbox where consumer = 'mail'")
    return waiting == 0 and [row["claimed_until"] for row in states] == [None]


async def test_schedulers_that_die_in_a_firing_and_a_job_that_comes_again_make_one_next_task(
    environment: dict[str, str], services: DevStack, database: DatabaseSettings, superuser: Any, url: str
) -> None:
    settings = structs.replace(
        settings_for(database, services.valkey.url), keys=tuple(map(Secret, services.secrets.keyset))
    )
    due = datetime.now(UTC) - timedelta(minutes=1)
    async with serving(settings) as site:
        owner = await site.person()
        body = {
            "team_id": await site.team(owner),
            "title": "Water the plants",
            "due_at": due.isoformat(),
            "recurrence": {"rule": "FREQ=DAILY"},
        }
        task = (await site.client.post("/v1/tasks", json=body, headers=owner.headers)).raise_for_status().json()
        await superuser.execute("insert into schedules (name, fired_until) values ('recurrence', $1)", due)
        async with two_killed(url, environment) as third:
            await until_answered(lambda: _is_next(superuser), SECONDS)
            third.kill()
            await third.gone()
            # Its offset may be committed or not: the job comes once more in any case.
            await superuser.execute(_AGAIN, task["id"])
            async with worker_process(environment) as fourth:
                await until_answered(lambda: _passed(fourth), SECONDS)
    tasks = await superuser.fetch("select due_at, recurrence::jsonb ->> 'number' as number from tasks order by number")
    assert [int(one["number"]) for one in tasks] == [1, 2]
    assert tasks[1]["due_at"] - tasks[0]["due_at"] == timedelta(days=1)
    assert await superuser.fetchval("select count(*) from schedule_marks where schedule = 'recurrence'") == 1


async def _is_next(superuser: Any) -> bool:
    return bool(await superuser.fetchval("select count(*) = 2 from tasks"))


async def _passed(worker: WorkerProcess) -> bool:
    return await worker.metric(PASSED) >= 1


_AGAIN: Final = """
insert into outbox (id, topic, key, payload, discard, traceparent, created_at)
select i, 'taskforge.jobs.v1', $1::text,
    json_build_object('id', i, 'purpose', 'repeat-task', 'subject', $1::text)::text, false, '', now()
from (select uuidv7() as i) x
"""
