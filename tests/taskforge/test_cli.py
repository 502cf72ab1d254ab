"""The command line: exit codes, one line per mistake, and what each command does against real services."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import msgspec
import pytest

from db.settings import DatabaseSettings
from taskforge.cli import parser, run
from taskforge.commands.doctor import examine
from taskforge.devstack import DevStack
from taskforge.devstack.ports import free_port
from taskforge.embedded import STAND_INS, complete, missing_kinds
from taskforge.settings import example, load
from tests.support.apache_kafka import APACHE
from tests.support.databases import name_of
from tests.support.system import BROKER, System

REQUIRED = dict(STAND_INS)


@pytest.fixture(autouse=True)
def elsewhere(no_taskforge_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without `.env` and without a running stack."""
    no_taskforge_environment.chdir(tmp_path)


def taskforge(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "taskforge", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def external(services: DevStack, database: DatabaseSettings) -> dict[str, str]:
    """The variables of services that are given by URL; on the usual port another system of this machine may answer."""
    return {
        "TASKFORGE_HTTP__PORT": str(free_port()),
        "TASKFORGE_DATABASE__OWNER_URL": database.owner_url.reveal(),
        "TASKFORGE_DATABASE__API_URL": database.api_url.reveal(),
        "TASKFORGE_DATABASE__WRITER_URL": database.writer_url.reveal(),
        "TASKFORGE_DATABASE__WORKER_URL": database.worker_url.reveal(),
        "TASKFORGE_VALKEY__URL": services.valkey_url,
        "TASKFORGE_KAFKA__BOOTSTRAP_SERVERS": services.kafka_bootstrap,
        "TASKFORGE_KAFKA__IDEMPOTENT": "true" if APACHE else "false",
        "TASKFORGE_KEYS": msgspec.json.encode(services.secrets.keyset).decode(),
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["up", "--port", "0"],
        ["up", "--workers", "-1"],
        ["worker", "--only", "relay,cook"],
        ["worker", "--only", ","],
        ["worker", "--only", "relay,embeddings"],
        ["migrate", "--check", "--back", "1"],
        ["migrate", "--check", "--finish"],
        ["import"],
        ["events"],
    ],
)
def test_wrong_usage_ends_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert caught.value.code == 2
    assert "usage: taskforge" in capsys.readouterr().err


def test_worker_parts_come_as_a_tuple() -> None:
    assert parser().parse_args(["worker", "--only", "relay, notifications"]).only == ("relay", "notifications")


def test_wrong_settings_end_with_code_2_and_one_line_each() -> None:
    done = taskforge("migrate", **REQUIRED, TASKFORGE_HTTP__PROT="1", TASKFORGE_HTTP__PORT="x")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "TASKFORGE_HTTP__PROT: no such setting; did you mean TASKFORGE_HTTP__PORT?",
        "TASKFORGE_HTTP__PORT: expected int, got 'x'",
    ]


def test_a_secret_file_that_is_not_there_ends_with_code_2_and_one_line(tmp_path: Path) -> None:
    given = {name: value for name, value in REQUIRED.items() if name != "TASKFORGE_KEYS"}
    for command in ("up", "migrate", "settings"):
        done = taskforge(command, **given, TASKFORGE_KEYS_FILE=str(tmp_path / "keys"))
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            f"TASKFORGE_KEYS_FILE: cannot read {tmp_path / 'keys'}: No such file or directory"
        ]


def test_a_command_runs_with_secrets_from_files(tmp_path: Path) -> None:
    given = dict(REQUIRED)
    (tmp_path / "keys").write_text(given.pop("TASKFORGE_KEYS") + "\n")
    done = taskforge("settings", **given, TASKFORGE_KEYS_FILE=str(tmp_path / "keys"))
    assert done.returncode == 0, done.stderr
    assert "stand-in" not in done.stdout


@pytest.mark.parametrize("command", ["api", "worker", "migrate"])
def test_missing_settings_end_with_code_2(command: str) -> None:
    done = taskforge(command)
    assert done.returncode == 2
    assert "TASKFORGE_VALKEY__URL: is missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_up_checks_the_settings_before_it_starts_anything(tmp_path: Path) -> None:
    done = taskforge("up", TASKFORGE_HTTP__PORT="x", TASKFORGE_DATABASE__API_URL="postgresql://h/d")
    assert done.returncode == 2
    assert "TASKFORGE_DATABASE__OWNER_URL: is missing" in done.stderr
    assert "TASKFORGE_HTTP__PORT: expected int" in done.stderr
    assert not (tmp_path / ".taskforge").exists()


def test_up_never_generates_keys_in_production(tmp_path: Path) -> None:
    done = taskforge("up", TASKFORGE_MODE="production", TASKFORGE_HTTP__PUBLIC_URL="https://a.example")
    assert done.returncode == 2
    assert "TASKFORGE_KEYS: is missing" in done.stderr
    assert not (tmp_path / ".taskforge").exists()


@pytest.mark.parametrize("command", [["up", "--port"], ["api"]])
def test_a_busy_port_is_one_clear_line(command: list[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        if command == ["api"]:
            done = taskforge("api", **REQUIRED, TASKFORGE_HTTP__PORT=port)
        else:
            done = taskforge(*command, port)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cannot listen on 127.0.0.1:{port}")
    assert not (tmp_path / ".taskforge").exists()


def test_an_unreachable_database_is_a_clear_failure() -> None:
    done = taskforge("migrate", "--check", **REQUIRED)
    assert done.returncode == 1
    assert "The database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_is_printed_as_it_is() -> None:
    done = taskforge("settings", "--example")
    assert (done.returncode, done.stdout) == (0, example())


def test_the_openapi_document_needs_neither_settings_nor_services(tmp_path: Path) -> None:
    done = taskforge("openapi", TASKFORGE_HTTP__PORT="x")
    assert (done.returncode, done.stderr) == (0, "")
    assert "/v1/tasks" in msgspec.json.decode(done.stdout)["paths"]
    assert not (tmp_path / ".taskforge").exists()


def test_the_settings_in_force_are_shown_without_secrets() -> None:
    done = taskforge("settings", **REQUIRED | {"TASKFORGE_VALKEY__URL": "valkey://:hunter2@h:1/0"})
    assert done.returncode == 0
    assert "TASKFORGE_HTTP__PORT" in done.stdout
    assert "hunter2" not in done.stdout


def test_choosing_a_command_loads_only_what_it_needs() -> None:
    code = (
        "import sys; from taskforge.cli import parser; parser().parse_args(['up']); "
        "print([name for name in ('asyncpg', 'granian', 'blacksheep', 'faststream', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def test_services_without_a_url_are_the_embedded_ones() -> None:
    assert missing_kinds({}) == ["postgres", "valkey", "kafka"]
    assert missing_kinds({"TASKFORGE_VALKEY__URL": "x", "TASKFORGE_DATABASE__API_URL": "x"}) == ["kafka"]


@pytest.mark.anyio
async def test_other_commands_find_the_stack_that_runs(services: DevStack) -> None:
    settings = load(complete({"TASKFORGE_HTTP__WORKERS": "2"}, services.data.path))
    assert settings.valkey.url.reveal() == services.valkey_url
    assert settings.kafka.bootstrap_servers == services.kafka_bootstrap
    assert settings.database.owner_url.reveal() == services.postgres_url
    assert settings.http.workers == 2
    assert complete({"TASKFORGE_MODE": "production"}, services.data.path) == {"TASKFORGE_MODE": "production"}


@pytest.mark.anyio
async def test_migrate_goes_forwards_back_and_says_what_is_pending(services: DevStack) -> None:
    session = await asyncpg.connect(services.postgres.url_of("postgres"))
    await session.execute("create database migrated_by_hand")
    urls = {name: url for name, url in complete({}, services.data.path).items() if name.startswith("TASKFORGE_")}
    urls = {name: url.replace("/taskforge?", "/migrated_by_hand?") for name, url in urls.items()}

    async def migrate(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(lambda: taskforge("migrate", *arguments, **urls))

    try:
        pending = await migrate("--check")
        assert pending.returncode == 1
        assert "pending: " in pending.stdout
        applied = await migrate()
        assert applied.returncode == 0, applied.stderr
        assert (await migrate("--check")).stdout == "schema is up to date\n"
        finished = await migrate("--finish")
        assert (finished.returncode, finished.stdout) == (0, "finished: nothing, there is no step left\n")
        await (await asyncpg.connect(urls["TASKFORGE_DATABASE__API_URL"])).close()
        undone = await migrate("--back", "1")
        assert undone.stdout.startswith("undone: ")
        assert (await migrate("--check")).returncode == 1
        assert (await migrate()).returncode == 0
    finally:
        await session.execute("drop database migrated_by_hand with (force)")
        await session.close()


@pytest.mark.anyio
async def test_doctor_finds_everything_well(services: DevStack, database: DatabaseSettings) -> None:
    done = await asyncio.to_thread(lambda: taskforge("doctor", **external(services, database)))
    assert done.returncode == 0, done.stdout
    assert "wrong" not in done.stdout
    for what in (
        "postgres",
        "fsync",
        "synchronous_commit",
        "pgvector",
        "schema",
        "role api",
        "role redactor",
        "valkey",
        "kafka",
        "disk",
        "worker",
    ):
        assert f"ok    {what}: " in done.stdout


@pytest.mark.anyio
async def test_doctor_names_what_is_wrong_and_the_remedy(services: DevStack, database: DatabaseSettings) -> None:
    session = await asyncpg.connect(services.postgres.url_of("postgres"))
    name = name_of(database)
    await session.execute(f"alter database {name} set synchronous_commit = off")
    await session.close()
    good = external(services, database)
    settings = load(
        good
        | {
            "TASKFORGE_DATABASE__API_URL": services.postgres.url_of(name),
            "TASKFORGE_DATABASE__WORKER_URL": services.postgres.url_of(name, "taskforge_worker", "wrong"),
            "TASKFORGE_VALKEY__URL": "valkey://127.0.0.1:1/0",
            "TASKFORGE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "TASKFORGE_OBJECTS__URL": "file:///proc/objects",
        }
    )
    remedies = {finding.what: finding.remedy for finding in await examine(settings) if not finding.well}
    roles = ["role api", "role redactor", "role worker"]
    assert sorted(remedies) == ["forgetting", "kafka", "objects", "relay", *roles, "synchronous_commit", "valkey"]
    assert "synchronous_commit = on" in remedies["synchronous_commit"]
    assert "row-level security" in remedies["role api"]
    assert "taskforge migrate" in remedies["role worker"]
    assert "taskforge up" in remedies["valkey"]


def test_doctor_reports_settings_without_running_services() -> None:
    done = taskforge("doctor")
    assert done.returncode == 1
    assert "ok    python: " in done.stdout
    assert "wrong settings: TASKFORGE_VALKEY__URL: is missing" in done.stdout


@pytest.fixture
def up(data_dir: Path) -> Iterator[Callable[..., System]]:
    """Starts `taskforge up` as a process of its own, always on the same data."""
    started: list[System] = []

    def start(*arguments: str) -> System:
        started.append(System(data_dir / "elsewhere", *arguments))
        return started[-1]

    yield start
    # All of them first: they share their data, so that the first is gone only when the last is.
    for one in started:
        one.process.kill()
    for one in started:
        one.kill()


@pytest.mark.system
def test_up_is_ready_and_leaves_nothing_behind(up: Callable[..., System]) -> None:
    cold = up()
    cold.start()
    assert cold.status("/readyz") == 200
    cold.wait_until(lambda: cold.status("/readyz", "ops") == 200, "the worker is ready", 30)
    assert cold.status("/metrics", "ops") == 200
    examined = taskforge("doctor", "--data", str(cold.data))
    assert "ok    worker: ready on" in examined.stdout, examined.stdout
    assert "ok    api: ready on" in examined.stdout, examined.stdout
    assert cold.status("/metrics", "api-ops") == 200
    secrets = (cold.data / "secrets.json").read_text().split('"')
    superuser = msgspec.json.decode((cold.data / "secrets.json").read_bytes())["postgres_password"].encode()
    ours = [pid for pid, line in cold.processes().items() if "taskforge" in line and "bin/" not in line]
    assert len(ours) >= 3
    assert not [pid for pid in ours if superuser in Path(f"/proc/{pid}/environ").read_bytes()]
    assert not [line for line in cold.processes().values() for word in secrets if len(word) > 40 and word in line]
    assert cold.stop(signal.SIGINT) == 0
    assert cold.processes() == {}
    warm = up("--demo")
    warm.start()
    warm.wait_until(lambda: "log in as" in warm.said(), "the demo is there")
    assert (warm.data / "demo.json").exists()
    assert warm.stop(signal.SIGTERM) == 0
    assert warm.processes() == {}


@pytest.mark.system
def test_up_brings_back_what_is_killed(up: Callable[..., System]) -> None:
    one = up("--workers", "2")
    one.start()
    for words in ("taskforge api", "taskforge worker", "bin/postgres", "valkey-server", BROKER):
        killed = one.pid_of(words)
        os.kill(killed, signal.SIGKILL)
        one.wait_until(partial(brought_back, one, killed, words), f"{words} is back", 30)
        one.wait_until(one.ready, f"ready again after {words}", 30)
        one.wait_until(lambda: one.status("/readyz", "ops") == 200, "the worker is ready again", 30)


def brought_back(system: System, killed: int, words: str) -> bool:
    processes = system.processes()
    return killed not in processes and any(words in line for line in processes.values())


@pytest.mark.system
def test_up_killed_hard_leaves_no_process(up: Callable[..., System]) -> None:
    one = up()
    one.start()
    assert len(one.processes()) > 4
    one.kill()


@pytest.mark.system
def test_up_interrupted_while_starting_stops_what_it_started(up: Callable[..., System]) -> None:
    one = up()
    one.wait_until(lambda: (one.data / "postgres").exists(), "the database is made", 30)
    assert one.stop() == 0
    assert one.processes() == {}


@pytest.mark.system
def test_two_copies_started_at_once_share_nothing(data_dir: Path) -> None:
    copies = [System(data_dir / name) for name in ("one", "two")]
    try:
        for copy in copies:
            copy.start()
        ports = [msgspec.json.decode((copy.data / "ports.json").read_bytes()) for copy in copies]
        assert not set(ports[0].values()) & set(ports[1].values())
        assert [copy.status("/readyz") for copy in copies] == [200, 200]
    finally:
        for copy in copies:
            copy.process.terminate()
        for copy in copies:
            copy.process.wait(30)
            copy.kill()


def first_child(pid: int) -> bool:
    return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text().strip())


@pytest.mark.anyio
async def test_an_api_told_to_stop_while_its_worker_loads_stops_at_once(
    services: DevStack, database: DatabaseSettings
) -> None:
    """The worker once kept its parent's signal handlers while importing, lost the signal and had to be killed."""
    environment = os.environ | external(services, database)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "taskforge", "api", env=environment)
    try:
        async with asyncio.timeout(30):
            while not first_child(process.pid):
                await asyncio.sleep(0.005)
            process.terminate()
        async with asyncio.timeout(5):
            await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
