"""The worker as a whole: started before its services, drained by a signal, seen by operators."""

import argparse
import asyncio
import json
import os
import signal
import urllib.request
from urllib.error import HTTPError

import anyio
import pytest
import uuid_utils.compat as uuids

from core.secret import Secret
from db.pool import Pools
from db.settings import DatabaseSettings, ValkeySettings
from streams.ops import WorkerCollector, serving
from streams.settings import KafkaSettings
from streams.worker import Worker, run_worker
from taskforge.commands import replay, worker
from taskforge.devstack import Services
from tests.support.journal_writer import JournalWriter, a_task, created
from tests.support.topic_reader import EVENTS, read_count, seqs_by_team
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio


async def test_a_worker_started_before_its_services_relays_and_notifies_once_they_are_up(
    services: Services, journal: JournalWriter, kafka: KafkaSettings, database: DatabaseSettings, valkey_url: str
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    await journal.commit([created(a_task(team_id, assignee_id=ann), 1)])
    for service in (services.kafka, services.postgres, services.valkey):
        await service.kill()
    async with anyio.create_task_group() as group:
        group.start_soon(run_worker, database, kafka, ValkeySettings(url=Secret(valkey_url)))
        for service in (services.valkey, services.kafka, services.postgres):
            await anyio.wait_all_tasks_blocked()
            await service.start()
        with anyio.fail_after(PATIENCE):
            while not await journal.pool.fetchval("select count(*) from notifications where user_id = $1", ann):
                await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    assert seqs_by_team(await read_count(kafka.bootstrap_servers, EVENTS, 1)) == {str(team_id): [1]}
    assert await journal.cursor(team_id) == 1


async def test_operators_see_health_readiness_and_metrics(
    pools: Pools, journal: JournalWriter, kafka: KafkaSettings
) -> None:
    part = Worker(pools, kafka, None)
    collector = WorkerCollector(
        lambda: part.statistics().monitor, lambda: part.statistics().relay, lambda: dict(part.statistics().consumers)
    )
    with serving("127.0.0.1", 0, collector, part.readiness) as port:
        assert await get(port, "/readyz") == (
            503,
            b'{"broker":false,"notifications":false,"relay":false,"outbox":false}',
        )
        async with anyio.create_task_group() as group:
            await group.start(part.run)
            await until(lambda: all(part.readiness().values()))
            team_id = await journal.team()
            await journal.append(team_id, 3)
            await until(lambda: part.statistics().consumers["notifications"].passed == 3)
            status, body = await get(port, "/metrics")
            assert json.loads((await get(port, "/readyz"))[1]) == dict.fromkeys(part.readiness(), True)
            assert (await get(port, "/healthz"))[0] == 200
            assert (await get(port, "/other"))[0] == 404
            part.stop()

    assert status == 200
    assert b"taskforge_relay_published_total 3.0" in body
    assert b'taskforge_consumer_passed_total{consumer="notifications"} 3.0' in body
    assert b'taskforge_relay_lag_events{range="0"}' in body


async def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body, asked from a thread because the server runs on one of its own."""

    def ask() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    return await asyncio.to_thread(ask)


def test_a_part_that_this_version_lacks_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert worker.run(argparse.Namespace(only=("relay", "webhooks")), None) == 2
    assert "not in this version: webhooks" in capsys.readouterr().err


async def test_replay_by_hand_publishes_again_without_a_worker_and_a_dry_run_changes_nothing(
    journal: JournalWriter,
    kafka: KafkaSettings,
    database: DatabaseSettings,
    pools: Pools,
    capsys: pytest.CaptureFixture[str],
) -> None:
    team_id = await journal.team()
    await journal.append(team_id, 5)
    part = Worker(pools, kafka, None, only=frozenset({"relay"}))
    async with anyio.create_task_group() as group:
        await group.start(part.run)
        await until(lambda: part.statistics().relay.published == 5)
        part.stop()

    settings = argparse.Namespace(database=database, kafka=kafka)
    wish = argparse.Namespace(team=str(team_id), from_seq=4, dry_run=True)
    assert await asyncio.to_thread(replay.run, wish, settings) == 0
    assert await journal.cursor(team_id) == 5
    wish.dry_run = False
    assert await asyncio.to_thread(replay.run, wish, settings) == 0
    assert "2 events of 1 teams" in capsys.readouterr().err

    records = await read_count(kafka.bootstrap_servers, EVENTS, 7)
    assert seqs_by_team(records) == {str(team_id): [1, 2, 3, 4, 5, 4, 5]}


def test_a_replay_of_no_team_id_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.run(argparse.Namespace(team="ENG", from_seq=1), None) == 2
    assert "no team id" in capsys.readouterr().err
