"""The worker as a whole: started before its services, drained by a signal; and replays beside it."""

import argparse
import asyncio
import json
import os
import signal
import time
from typing import Any
from unittest.mock import Mock

import anyio
import asyncpg
import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from api.settings import OpsSettings
from core.secret import Secret
from streams.relay import relay
from taskforge.commands import replay
from taskforge.commands.worker import work
from taskforge.devstack import DevStack
from taskforge.devstack.ports import free_port
from taskforge.parts.draining import PARTS_SECONDS
from taskforge.parts.names import PARTS
from taskforge.processes import http_get
from taskforge.settings import Settings
from tests.support.journal_writer import JournalWriter, a_task, created
from tests.support.topic_reader import EVENTS, read_count, seqs_by_team
from tests.support.waiting import PATIENCE, until
from tests.support.working import relay_of, working

pytestmark = pytest.mark.anyio


async def test_a_worker_started_before_its_services_relays_and_notifies_once_they_are_up(
    services: DevStack, journal: JournalWriter, settings: Settings
) -> None:
    team_id = await journal.team()
    ann = await journal.member(team_id, uuids.uuid7())
    await journal.commit([created(a_task(team_id, assignee_id=ann), 1)])
    for service in (services.kafka, services.postgres, services.valkey):
        await service.kill()
    async with anyio.create_task_group() as group:
        group.start_soon(work, settings, frozenset(PARTS))
        for service in (services.valkey, services.kafka, services.postgres):
            await anyio.wait_all_tasks_blocked()
            await service.start()
        with anyio.fail_after(PATIENCE):
            while not await journal.pool.fetchval("select count(*) from notifications where user_id = $1", ann):
                await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    assert seqs_by_team(await read_count(settings.kafka.bootstrap_servers, EVENTS, 1)) == {str(team_id): [1]}
    assert await journal.cursor(team_id) == 1


async def readiness(settings: Settings) -> tuple[int, Any]:
    """What `/readyz` of the worker says; status 0 when nobody listens."""
    status, body = await http_get(settings.ops.host, settings.ops.port, "/readyz")
    return status, json.loads(body) if body else None


async def until_it_says(settings: Settings, http_status: int, status: str, **checks: str) -> None:
    """Wait for this status with at least these checks; a probe may be late on a busy machine."""
    found: tuple[int, Any] = (0, None)
    end = time.monotonic() + PATIENCE
    while found[0] != http_status or found[1]["status"] != status or not checks.items() <= found[1]["checks"].items():
        assert time.monotonic() < end, f"it says {found}"
        await asyncio.sleep(0.05)
        found = await readiness(settings)


def listening(settings: Settings) -> Settings:
    return structs.replace(settings, ops=OpsSettings(port=free_port()))


async def test_a_worker_without_a_database_says_so_and_can_be_stopped(settings: Settings) -> None:
    nowhere = Secret("postgresql://nobody@127.0.0.1:9/nothing")
    lost = structs.replace(settings.database, writer_url=nowhere, api_url=nowhere, worker_url=nowhere)
    alone = listening(structs.replace(settings, database=lost))
    async with anyio.create_task_group() as group:
        group.start_soon(work, alone, frozenset(PARTS))
        await until_it_says(alone, 503, "unavailable", postgres="down")
        os.kill(os.getpid(), signal.SIGTERM)
    assert await readiness(alone) == (0, None)


async def test_a_relay_that_hangs_is_named_and_a_worker_that_waits_for_it_says_that_it_drains(
    settings: Settings, journal: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "FROZEN_SECONDS", 2.0)
    settings = listening(settings)
    async with anyio.create_task_group() as group:
        group.start_soon(work, settings, frozenset({"relay"}))
        await until_it_says(settings, 200, "ready", postgres="ok", valkey="ok", kafka="ok", relay="ok", outbox="ok")
        async with journal.pool.acquire() as connection, connection.transaction():
            await connection.execute("lock table relay_cursors in access exclusive mode")
            await until_it_says(settings, 503, "unavailable", relay="down", outbox="ok")
            os.kill(os.getpid(), signal.SIGTERM)
            await until_it_says(settings, 503, "draining", relay="down")
    assert await readiness(settings) == (0, None)


async def test_a_second_signal_ends_a_worker_at_once(
    settings: Settings, journal: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "FROZEN_SECONDS", 2.0)
    settings = listening(settings)
    loop = asyncio.get_running_loop()
    complain = loop.get_exception_handler() or asyncio.AbstractEventLoop.default_exception_handler

    def complain_of_others(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Nobody is left to hear that the driver could not give back a connection, which was cut under it.
        if not isinstance(context.get("exception"), asyncpg.ConnectionDoesNotExistError):
            complain(loop, context)

    loop.set_exception_handler(complain_of_others)
    async with journal.pool.acquire() as connection, connection.transaction():
        async with anyio.create_task_group() as group:
            group.start_soon(work, settings, frozenset({"relay"}))
            await until_it_says(settings, 200, "ready")
            await connection.execute("lock table relay_cursors in access exclusive mode")
            await until_it_says(settings, 503, "unavailable", relay="down")
            os.kill(os.getpid(), signal.SIGTERM)
            await until_it_says(settings, 503, "draining")
            began = time.monotonic()
            os.kill(os.getpid(), signal.SIGTERM)
        assert time.monotonic() - began < PARTS_SECONDS / 2


async def test_replay_by_hand_publishes_again_without_a_worker_and_a_dry_run_changes_nothing(
    journal: JournalWriter,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    team_id = await journal.team()
    await journal.append(team_id, 5)
    async with working(settings, "relay") as worker:
        await until(lambda: relay_of(worker).published == 5)

    wish = argparse.Namespace(team=str(team_id), from_seq=4, dry_run=True)
    assert await asyncio.to_thread(replay.run, wish, settings) == 0
    assert await journal.cursor(team_id) == 5
    wish.dry_run = False
    assert await asyncio.to_thread(replay.run, wish, settings) == 0
    assert "2 events of 1 teams" in capsys.readouterr().err

    records = await read_count(settings.kafka.bootstrap_servers, EVENTS, 7)
    assert seqs_by_team(records) == {str(team_id): [1, 2, 3, 4, 5, 4, 5]}


def test_a_replay_of_no_team_id_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.run(argparse.Namespace(team="ENG", from_seq=1), Mock()) == 2
    assert "no team id" in capsys.readouterr().err
