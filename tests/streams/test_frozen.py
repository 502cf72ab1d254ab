"""A broker that is frozen and a worker that is dead: connections stand, and still everybody is told."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from api.health import Health
from db.ids import new_id
from db.pool import Pools
from db.settings import DatabaseSettings
from streams import relay_watch
from streams.kafka.answering import answering
from streams.relay_watch import RelayView, RelayWatch, look
from streams.settings import KafkaSettings
from taskforge.commands.doctor import examine
from taskforge.devstack import DevStack
from taskforge.parts.names import API
from taskforge.parts.probes import broker_probe, kafka_probe
from taskforge.settings import Settings
from taskforge.wiring import running
from tests.support import freezing
from tests.support.journal_writer import JournalWriter
from tests.support.relaying import relaying
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@contextmanager
def frozen(services: DevStack) -> Iterator[None]:
    """The broker does not run on until the block ends; its sockets go on accepting."""
    pid = services.kafka.pid
    assert pid is not None
    with freezing.frozen(pid, below=False):
        yield


async def test_a_frozen_broker_is_down_for_an_api_process_within_a_second(
    services: DevStack, kafka: KafkaSettings
) -> None:
    health = Health([kafka_probe(kafka)])
    assert (await health.readiness()).checks == {"kafka": "ok"}
    with frozen(services):
        began = time.monotonic()
        assert (await health.readiness()).checks == {"kafka": "frozen"}
        assert time.monotonic() - began < 1.0
    assert (await health.readiness()).checks == {"kafka": "ok"}


async def test_a_frozen_broker_is_down_for_a_worker_within_seconds_and_comes_back(
    services: DevStack, kafka: KafkaSettings, pools: Pools
) -> None:
    async with relaying(pools, kafka) as (_, monitor):
        await monitor.known()
        health = Health([broker_probe(monitor)])
        assert (await health.readiness()).checks == {"kafka": "ok"}
        with frozen(services):
            began = time.monotonic()
            await until(lambda: not monitor.statistics().reachable)
            assert time.monotonic() - began < 7.0
            assert (await health.readiness()).checks == {"kafka": "down"}
        await until(lambda: monitor.statistics().reachable)


async def test_one_broker_that_answers_is_enough_and_none_is_an_error(kafka: KafkaSettings) -> None:
    await answering(KafkaSettings(bootstrap_servers=f"127.0.0.1:9,{kafka.bootstrap_servers}"))
    with pytest.raises(OSError, match="no broker answers"):
        await answering(KafkaSettings(bootstrap_servers="127.0.0.1:9,127.0.0.1:10"))


async def test_something_else_that_answers_is_no_broker(services: DevStack) -> None:
    with pytest.raises(OSError, match=r"closes the connection|another answer"):
        async with asyncio.timeout(5):
            await answering(KafkaSettings(bootstrap_servers=f"127.0.0.1:{services.postgres.port}"))


async def test_what_waits_and_who_relays_shows_in_the_database(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    for _ in range(3):
        await journal.append(await journal.team(), 4)
    await journal.age("1 hour")
    view = await look(pools.worker)
    assert (view.workers, view.events, view.late) == (0, 12, True)
    assert 3600 <= view.seconds < 3700
    async with relaying(pools, kafka) as (relay, _):
        await until(lambda: relay.statistics().published == 12)
        assert await look(pools.worker) == RelayView(1, 0, 0.0)
    assert (await look(pools.worker)).workers == 0


async def test_all_slices_of_the_teams_are_looked_at(
    pools: Pools, journal: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_watch, "SLICE_TEAMS", 2)
    for _ in range(5):
        await journal.append(await journal.team(), 1)
    assert (await look(pools.worker)).events == 5


async def test_an_api_process_says_that_its_worker_is_dead_and_that_it_is_back(
    settings: Settings, pools: Pools, journal: JournalWriter, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(relay_watch, "LATE_SECONDS", 0.6)
    async with running(settings, API) as process:

        async def says(wanted: str) -> None:
            async with asyncio.timeout(20):
                while (await process.health.readiness()).checks["relay"] != wanted:
                    await asyncio.sleep(0.02)

        await says("down")
        assert (await process.health.readiness()).status == "degraded"
        async with relaying(pools, kafka):
            await says("ok")
        await journal.append(await journal.team(), 1)
        await says("down")
        shown = {sample.name: sample.value for sample in process.metrics._sources[0]() if sample.name[:5] == "relay"}
        assert (shown["relay_workers"], shown["relay_waiting_events"]) == (0, 1)
        assert shown["relay_waiting_seconds"] > 0.6


async def test_doctor_says_that_nobody_relays_what_waits(
    settings: Settings, journal: JournalWriter, database: DatabaseSettings, services: DevStack
) -> None:
    found = {finding.what: finding for finding in await examine(settings)}
    assert found["relay"].well
    await journal.append(await journal.team(), 2)
    await journal.age("1 hour")
    found = {finding.what: finding for finding in await examine(settings)}
    assert found["relay"].detail.startswith("0 workers, 2 events wait, for 36")
    assert "taskforge worker" in found["relay"].remedy


async def test_doctor_says_what_should_have_been_forgotten(
    settings: Settings, journal: JournalWriter, superuser: "asyncpg.Connection[Any]"
) -> None:
    team = await journal.team()
    row = "(team_id, task_id, subject_id, created_at) values ($1, $2, $2, now() - $3::interval)"
    plant = f"insert into redactions_due {row}"
    await superuser.execute(plant, team, new_id(), timedelta(minutes=50))
    found = {finding.what: finding for finding in await examine(settings)}
    assert found["forgetting"].well
    await superuser.execute(plant, team, new_id(), timedelta(minutes=150))
    found = {finding.what: finding for finding in await examine(settings)}
    assert found["forgetting"].detail == "1 deleted tasks and comments wait, the oldest for 2.5 h"
    assert "redaction" in found["forgetting"].remedy


async def test_a_watch_waits_for_a_database_that_is_away(pools: Pools, services: DevStack) -> None:
    watch = RelayWatch(pools.worker)
    running = asyncio.ensure_future(watch.run())
    try:
        await services.postgres.kill()
        await asyncio.sleep(0)
        assert not running.done()
        await services.postgres.start()
        await until(lambda: watch._workers is not None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
