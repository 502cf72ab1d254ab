"""The composition root: what each role brings along, and one list of names for everybody."""

import subprocess
import sys
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids
from msgspec import structs

from core.ask import Ask
from core.commands import CreateTeam
from core.principal import Principal
from db.settings import DatabaseSettings
from taskforge.cli import parser
from taskforge.parts.names import API, PARTS, ROLES, TEAMS
from taskforge.parts.work import CONSUMERS
from taskforge.settings import Settings
from taskforge.wiring import running
from tests.support.apache_kafka import kafka_settings
from tests.support.office import Office
from tests.support.site import settings_for
from tests.support.topic_reader import EVENTS, read_count, seqs_by_team
from tests.support.waiting import until
from tests.support.working import relay_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(database: DatabaseSettings, kafka_bootstrap: str, valkey_url: str) -> Settings:
    return structs.replace(settings_for(database, valkey_url), kafka=kafka_settings(kafka_bootstrap))


@pytest.mark.parametrize("grouped", [False, True])
async def test_what_the_block_raises_comes_out_as_itself(office: Office, grouped: bool) -> None:
    error = ExceptionGroup("several", [LookupError("the real one")]) if grouped else LookupError("the real one")
    with pytest.RaisesGroup(LookupError) if grouped else pytest.raises(LookupError, match="the real one"):
        async with office.open():
            raise error


def test_every_list_of_parts_is_the_same() -> None:
    assert ("relay", *CONSUMERS, "scheduler") == PARTS
    assert parser().parse_args(["worker", "--only", ",".join(PARTS)]).only == PARTS
    assert {*API, *TEAMS, *PARTS} == ROLES


@pytest.mark.parametrize(
    ("roles", "parts"),
    [
        (API, ["format", "restores", "sessions", "api-keys", "feeds", "limits", "notices", "relay-watch", "teams"]),
        (TEAMS, ["format", "restores", "feeds", "teams"]),
        (
            {"relay"},
            ["format", "restores", "broker", "housekeeping", "backlogs", "wakeups", "relay", "outbox", "checkpoints"],
        ),
        ({"notifications"}, ["format", "restores", "broker", "housekeeping", "backlogs", "leaving", "notifications"]),
        ({"mail"}, ["format", "restores", "broker", "housekeeping", "backlogs", "mail"]),
        (
            {"operations"},
            ["format", "restores", "broker", "housekeeping", "backlogs", "feeds", "teams", "steps", "operations"],
        ),
        ({"redaction"}, ["format", "restores", "broker", "housekeeping", "backlogs", "redaction"]),
        ({"search"}, ["format", "restores", "broker", "housekeeping", "backlogs", "filling", "search"]),
        ({"history"}, ["format", "restores", "broker", "housekeeping", "backlogs", "history"]),
        ({"recurrence"}, ["format", "restores", "broker", "housekeeping", "backlogs", "feeds", "teams", "recurrence"]),
        ({"scheduler"}, ["format", "restores", "broker", "housekeeping", "backlogs", "scheduler"]),
        (
            {"teams", "notifications"},
            ["format", "restores", "feeds", "broker", "housekeeping", "backlogs", "leaving", "teams", "notifications"],
        ),
    ],
)
async def test_a_role_brings_what_it_needs_and_nothing_else(
    settings: Settings, roles: set[str], parts: list[str]
) -> None:
    async with running(settings, frozenset(roles)) as process:
        assert [part.name for part in process.parts] == parts
        await until(lambda: all(part.ready for part in process.parts))


async def test_what_a_process_was_started_without_is_out_of_reach(settings: Settings) -> None:
    async with running(settings, frozenset({"relay"})) as process:
        await until(lambda: process.broker.statistics().reachable)
        for missing in ("teams", "services"):
            with pytest.raises(LookupError, match="started without"):
                getattr(process, missing)


async def test_a_role_that_does_not_exist_is_refused_before_anything_is_opened(settings: Settings) -> None:
    with pytest.raises(ValueError, match="no such role: embeddings"):
        async with running(settings, frozenset({"relay", "embeddings"})):
            pytest.fail("it must not run")


async def test_a_worker_can_ask_teams_and_its_relay_publishes_what_they_decide(
    settings: Settings, superuser: "asyncpg.Connection"
) -> None:
    """As sagas and the scheduler will: one process, one composition, both a team system and parts of a worker."""
    owner, team_id = uuids.uuid7(), uuids.uuid7()
    ask = Ask(Principal.of_user(owner))
    await superuser.execute(
        "insert into users (id, email, name, created_at, updated_at) values ($1, 'a@example.com', 'Ann', now(), now())",
        owner,
    )
    async with running(settings, frozenset({"teams", "relay"})) as process:
        await until(lambda: all(part.ready for part in process.parts))
        created = await process.teams.ask(team_id, CreateTeam(team_id, "Team", "TEAM", "Ann"), ask)
        await until(lambda: relay_of(process).published == created.seq)
        readiness = await process.health.readiness()
    assert (readiness.status, readiness.checks) == (
        "ready",
        {"postgres": "ok", "valkey": "ok", "kafka": "ok", "relay": "ok", "outbox": "ok", "checkpoints": "ok"},
    )
    records = await read_count(settings.kafka.bootstrap_servers, EVENTS, created.seq)
    assert seqs_by_team(records) == {str(UUID(int=team_id.int)): [*range(1, created.seq + 1)]}


async def test_an_api_without_kafka_is_degraded_and_a_worker_without_it_is_of_no_use(office: Office) -> None:
    async with running(office.settings, API) as process:
        readiness = await process.health.readiness()
        assert (readiness.status, readiness.checks["kafka"]) == ("degraded", "down")
    async with running(office.settings, frozenset({"relay"})) as process:
        readiness = await process.health.readiness()
        assert (readiness.status, readiness.checks) == (
            "unavailable",
            {
                "postgres": "ok",
                "valkey": "ok",
                "kafka": "down",
                "relay": "down",
                "outbox": "down",
                "checkpoints": "down",
            },
        )


async def test_whoever_leaves_is_draining_and_its_numbers_are_gone(settings: Settings) -> None:
    async with running(settings, frozenset({"relay"})) as process:
        await until(lambda: all(part.ready for part in process.parts))
        process.metrics.flush()
        assert b'taskforge_part_ready{part="relay"} 1.0' in process.metrics.text()
        assert not process.health.draining.is_set()
    assert process.health.draining.is_set()
    assert b'taskforge_part_ready{part="relay"} 0.0' in process.metrics.text()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("taskforge.asgi, taskforge.parts.serving", {"aiokafka", "faststream"}),
        ("taskforge.commands.worker, taskforge.parts.work", {"blacksheep", "argon2"}),
    ],
)
def test_a_process_loads_what_its_role_needs_and_no_more(module: str, absent: set[str]) -> None:
    """Both kinds once loaded both halves: a second of start and ten megabytes each, for nothing."""
    code = f"import sys, {module}; print(*({absent!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


async def test_a_process_that_starts_on_a_restored_database_asks_once_and_gives_its_teams_new_epochs(
    office: Office, superuser: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    async def noting(*pools: object) -> int:
        asked.append(pools)
        return 0

    monkeypatch.setattr("taskforge.parts.history_watch.notice_restore", noting)
    owner = await office.sign_up("olga@example.com", "Olga")
    async with office.open() as services:
        team, ask = services.new_id(), Ask(Principal.of_user(owner))
        await services.teams.ask(team, CreateTeam(team, "Work", "WRK", "Olga"), ask)
    await superuser.execute("update installation set database_oid = database_oid + 1")
    async with office.open() as services:
        assert (await services.teams.view(team)).epoch == 2
    assert not asked, "the first connection has asked"
