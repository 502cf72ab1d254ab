"""Production refuses what fits only a machine of one's own: one line for each thing, exit code 2, nothing started."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from core.secret import Secret
from db.roles import excess_rights_of
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from taskforge.devstack.ports import free_port
from taskforge.embedded import STAND_INS
from taskforge.parts.names import API, PARTS
from taskforge.settings import PREFIX, SettingsError, load
from taskforge.wiring import running
from tests.support.databases import name_of

pytestmark = pytest.mark.anyio

KAFKA = {
    "KAFKA__BOOTSTRAP_SERVERS": "kafka-1.example:9092, kafka-2.example:9092",
    "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA__SASL_USERNAME": "taskforge",
    "KAFKA__SASL_PASSWORD": "hunter2hunter2",
}
FIT = {
    "MODE": "production",
    "KEYS": '["f3c1e2a0-correct-horse-battery-staple-9d8b7"]',
    "HTTP__PUBLIC_URL": "https://a.example",
    "VALKEY__URL": "valkeys://:hunter2hunter2@valkey.example:6379/0",
    "OBJECTS__URL": "s3://files?region=eu-north-1",
    **KAFKA,
}
NO_LOGIN = (
    "KAFKA__SECURITY_PROTOCOL: must be SASL_SSL in production (or SSL with TASKFORGE_KAFKA__SSL_CERTIFICATE, "
    "or SASL_PLAINTEXT on loopback): the broker must know its clients"
)
NO_TLS = "KAFKA__SECURITY_PROTOCOL: must be SASL_SSL or SSL in production, unless it is on loopback"
NO_PASSWORD = "VALKEY__URL: has no password; production needs a Valkey that authenticates its clients"


def settings_with(**changes: str) -> dict[str, str]:
    given = {name: value for name, value in (FIT | changes).items() if value}
    return dict(STAND_INS) | {PREFIX + name: value for name, value in given.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"VALKEY__URL": "valkey://:secret@127.0.0.1:6379/0"},
        {"VALKEY__URL": "unix://:secret@/run/valkey.sock"},
        {"KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA__BOOTSTRAP_SERVERS": "localhost:9092,[::1]:9093"},
        {
            "KAFKA__SECURITY_PROTOCOL": "SSL",
            "KAFKA__SASL_USERNAME": "",
            "KAFKA__SASL_PASSWORD": "",
            "KAFKA__SSL_CERTIFICATE": "/run/client.pem",
        },
        {"HTTP__METRICS_ENABLED": "false"},
        {"OBJECTS__URL": "file:///srv/taskforge/objects"},
    ],
)
def test_what_is_fit_for_production_is_taken(changes: dict[str, str]) -> None:
    assert load(settings_with(**changes)).mode == "production"


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"OBJECTS__URL": ""},
            ["OBJECTS__URL: is missing (production keeps exports in a store that its processes share)"],
        ),
        ({"OBJECTS__URL": "memory:"}, ["OBJECTS__URL: must not be memory:, which ends with the process"]),
        (
            {"OBJECTS__URL": "s3://"},
            ["OBJECTS__URL: must be s3:// and a bucket, with endpoint, region and prefix as its query"],
        ),
        (
            {"OBJECTS__ACCESS_KEY_ID": "key"},
            [
                "OBJECTS__ACCESS_KEY_ID: needs TASKFORGE_OBJECTS__SECRET_ACCESS_KEY, and the other way round",
            ],
        ),
        ({"HTTP__PUBLIC_URL": ""}, ["HTTP__PUBLIC_URL: is missing (production sends links in emails)"]),
        (
            {"HTTP__PUBLIC_URL": "http://a.example", "KEYS": f'["{"a" * 40}"]'},
            [
                "KEYS: key 1 is too uniform for production; generate one: openssl rand -base64 48",
                "HTTP__PUBLIC_URL: must be https:// in production",
            ],
        ),
        (
            {"HTTP__METRICS_ENABLED": "true"},
            [
                (
                    "HTTP__METRICS_ENABLED: must not be true in production; "
                    "operators read /metrics at TASKFORGE_OPS__API_PORT"
                )
            ],
        ),
        ({"VALKEY__URL": "valkeys://valkey.example"}, [NO_PASSWORD]),
        ({"VALKEY__URL": "unix:///run/valkey.sock"}, [NO_PASSWORD]),
        (
            {"VALKEY__URL": "valkey://valkey.example"},
            [NO_PASSWORD, "VALKEY__URL: must be valkeys:// (TLS) in production, unless it is on loopback"],
        ),
        (
            {"VALKEY__URL": "redis://:secret@10.0.0.7"},
            ["VALKEY__URL: must be valkeys:// (TLS) in production, unless it is on loopback"],
        ),
        ({name: "" for name in KAFKA if "SASL" in name or "PROTOCOL" in name}, [NO_LOGIN, NO_TLS]),
        (
            {"KAFKA__SECURITY_PROTOCOL": "SSL", "KAFKA__SASL_USERNAME": "", "KAFKA__SASL_PASSWORD": ""},
            [NO_LOGIN],
        ),
        ({"KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, [NO_TLS]),
        (
            {"KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1,kafka:2"},
            [NO_TLS],
        ),
    ],
)
def test_what_is_open_or_unencrypted_is_refused_by_name(changes: dict[str, str], lines: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(settings_with(**changes))
    assert caught.value.problems == [PREFIX + line for line in lines]
    assert "hunter2" not in str(caught.value)


def production(services: DevStack, database: DatabaseSettings, **changes: str) -> dict[str, str]:
    """A process that production has nothing against, over the services of the test."""
    urls = {
        f"DATABASE__{role}_URL": getattr(database, f"{role.lower()}_url").reveal()
        for role in ("API", "WRITER", "WORKER")
    }
    local = {
        "VALKEY__URL": services.valkey_url,
        "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA__BOOTSTRAP_SERVERS": services.kafka_bootstrap,
        "HTTP__PORT": str(free_port()),
    }
    return settings_with(**{**urls, **local, **changes})


@asynccontextmanager
async def powerful_roles(services: DevStack, database: DatabaseSettings) -> AsyncIterator[dict[str, str]]:
    """URLs of roles that are above row-level security, by what they are."""
    name = name_of(database)
    session = await asyncpg.connect(services.postgres.url_of(name))
    try:
        await session.execute("create role passing login bypassrls password 'p'")
        await session.execute("create role joining login password 'p' in role taskforge_owner")
        yield {
            "postgres is a superuser": services.postgres.url_of(name),
            "passing bypasses row-level security": services.postgres.url_of(name, "passing", "p"),
            "joining owns tables, or is a member of a role that does": services.postgres.url_of(name, "joining", "p"),
        }
    finally:
        await session.execute("drop role passing, joining")
        await session.close()


async def test_a_role_above_row_level_security_is_known_and_ours_are_not(
    services: DevStack, database: DatabaseSettings
) -> None:
    async with powerful_roles(services, database) as roles:
        assert [await excess_rights_of(Secret(url)) for url in roles.values()] == list(roles)
    for url in (database.api_url, database.writer_url, database.worker_url):
        assert await excess_rights_of(url) == ""


@pytest.mark.parametrize("parts", [API, frozenset(PARTS)], ids=["api", "worker"])
async def test_no_process_runs_under_such_a_role_in_production(
    services: DevStack, database: DatabaseSettings, valkey_url: str, parts: frozenset[str]
) -> None:
    async with powerful_roles(services, database) as roles:
        for excess, url in roles.items():
            settings = load(production(services, database, DATABASE__WORKER_URL=url))
            with pytest.raises(SettingsError) as caught:
                async with running(settings, parts):
                    pytest.fail("it must not run")
            assert caught.value.problems == [
                f"TASKFORGE_DATABASE__WORKER_URL: {excess}; production needs the role that `taskforge migrate` makes"
            ]
    async with running(load(production(services, database)), parts):
        """With the roles that `migrate` makes it runs."""


def taskforge(command: str, environment: dict[str, str], directory: Path) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return subprocess.run(
        [sys.executable, "-m", "taskforge", command],
        env=clean | environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_the_commands_end_with_code_2_and_one_line_for_each_role(
    services: DevStack, database: DatabaseSettings, tmp_path: Path, command: str
) -> None:
    superuser = services.postgres.url_of(name_of(database))
    given = production(services, database, DATABASE__API_URL=superuser, DATABASE__WRITER_URL=superuser)
    done = await asyncio.to_thread(taskforge, command, given | {"TASKFORGE_LOG_LEVEL": "error"}, tmp_path)
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [
            f"TASKFORGE_DATABASE__{name}_URL: postgres is a superuser; "
            "production needs the role that `taskforge migrate` makes"
            for name in ("API", "WRITER")
        ],
    )


async def test_api_and_worker_forget_the_owners_url_that_they_are_given(
    services: DevStack, database: DatabaseSettings, tmp_path: Path
) -> None:
    """Neither their settings nor the environment of what they start has it, wherever it came from."""
    superuser = services.postgres.url_of(name_of(database))
    (tmp_path / ".env").write_text(f"TASKFORGE_DATABASE__OWNER_URL={superuser}\n")
    code = (
        "import os, pathlib; from taskforge.cli import parser, _settings_of; "
        "chosen = _settings_of(parser().parse_args(['{command}'])); "
        "print(chosen.database.owner_url.reveal() or '-', os.environ.get('TASKFORGE_DATABASE__OWNER_URL', '-'))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = clean | {name: value for name, value in production(services, database).items() if "OWNER" not in name}
    for command, wanted in (("api", "- -"), ("worker", "- -"), ("migrate", f"{superuser} {superuser}")):
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code.format(command=command), env=given, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await done.communicate()
        assert told.decode().strip() == wanted


async def test_metrics_are_on_the_operators_listener_only(
    services: DevStack, database: DatabaseSettings, tmp_path: Path
) -> None:
    """Of all processes of the server, whichever of them is asked."""
    from taskforge.processes import http_get

    ops = free_port()
    given = production(services, database, OPS__API_PORT=str(ops), HTTP__WORKERS="2")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "taskforge", "api", env=clean | given, cwd=tmp_path
    )
    try:
        public = int(given["TASKFORGE_HTTP__PORT"])
        async with asyncio.timeout(30):
            while (await http_get("127.0.0.1", ops, "/readyz"))[0] != 200:
                await asyncio.sleep(0.05)
            while (await http_get("127.0.0.1", public, "/healthz"))[0] != 200:
                await asyncio.sleep(0.05)
        assert (await http_get("127.0.0.1", public, "/metrics"))[0] == 404
        status, body = await http_get("127.0.0.1", ops, "/metrics")
        assert status == 200
        assert b"taskforge_teams_active" in body
        assert (await http_get("127.0.0.1", ops, "/v1/me"))[0] == 404
    finally:
        process.terminate()
        await process.wait()
