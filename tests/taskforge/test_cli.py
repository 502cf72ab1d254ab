"""The command line: exit codes, one line per mistake, and what each command does against real services."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

from db.settings import DatabaseSettings
from taskforge.cli import parser, run
from taskforge.commands.doctor import examine
from taskforge.devstack import Services
from taskforge.devstack.ports import free_port
from taskforge.embedded import STAND_INS, complete, missing_kinds
from taskforge.processes import http_get
from taskforge.settings import example, load
from tests.conftest import name_of

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


def external(services: Services, database: DatabaseSettings) -> dict[str, str]:
    """The variables of services that are given by URL."""
    return {
        "TASKFORGE_DATABASE__OWNER_URL": database.owner_url.reveal(),
        "TASKFORGE_DATABASE__API_URL": database.api_url.reveal(),
        "TASKFORGE_DATABASE__WRITER_URL": database.writer_url.reveal(),
        "TASKFORGE_DATABASE__WORKER_URL": database.worker_url.reveal(),
        "TASKFORGE_VALKEY__URL": services.valkey_url,
        "TASKFORGE_KAFKA__BOOTSTRAP_SERVERS": services.kafka_bootstrap,
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
        ["migrate", "--check", "--back", "1"],
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
    assert parser().parse_args(["worker", "--only", "relay, webhooks"]).only == ("relay", "webhooks")


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
async def test_other_commands_find_the_stack_that_runs(services: Services) -> None:
    settings = load(complete({"TASKFORGE_HTTP__WORKERS": "2"}, services.data.path))
    assert settings.valkey.url.reveal() == services.valkey_url
    assert settings.kafka.bootstrap_servers == services.kafka_bootstrap
    assert settings.database.owner_url.reveal() == services.postgres_url
    assert settings.http.workers == 2
    assert complete({"TASKFORGE_MODE": "production"}, services.data.path) == {"TASKFORGE_MODE": "production"}


@pytest.mark.anyio
async def test_migrate_goes_forwards_back_and_says_what_is_pending(services: Services) -> None:
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
        await (await asyncpg.connect(urls["TASKFORGE_DATABASE__API_URL"])).close()
        undone = await migrate("--back", "1")
        assert undone.stdout.startswith("undone: ")
        assert (await migrate("--check")).returncode == 1
        assert (await migrate()).returncode == 0
    finally:
        await session.execute("drop database migrated_by_hand with (force)")
        await session.close()


@pytest.mark.anyio
async def test_doctor_finds_everything_well(services: Services, database: DatabaseSettings) -> None:
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
        "valkey",
        "kafka",
        "disk",
    ):
        assert f"ok    {what}: " in done.stdout


@pytest.mark.anyio
async def test_doctor_names_what_is_wrong_and_the_remedy(services: Services, database: DatabaseSettings) -> None:
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
        }
    )
    remedies = {finding.what: finding.remedy for finding in await examine(settings) if not finding.well}
    assert sorted(remedies) == ["kafka", "role api", "role worker", "synchronous_commit", "valkey"]
    assert "synchronous_commit = on" in remedies["synchronous_commit"]
    assert "row-level security" in remedies["role api"]
    assert "taskforge migrate" in remedies["role worker"]
    assert "taskforge up" in remedies["valkey"]


def test_doctor_reports_settings_without_running_services() -> None:
    done = taskforge("doctor")
    assert done.returncode == 1
    assert "ok    python: " in done.stdout
    assert "wrong settings: TASKFORGE_VALKEY__URL: is missing" in done.stdout


class Running:
    """`taskforge up` as a process of its own, under `data`."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.log = data.parent / "up.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "taskforge", "up", "--data", str(data), *arguments], stdout=log, stderr=log
            )

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def ready(self, seconds: float) -> float:
        """Wait for the summary; gives the seconds from start to `/readyz`, as the summary states them."""
        self.wait_until(lambda: "TaskForge is ready" in self.log.read_text(), seconds)
        return float(self.log.read_text().split("TaskForge is ready (")[1].split(" s)")[0])

    def status(self, path: str) -> int:
        return asyncio.run(http_get("127.0.0.1", self.port, path))[0]

    @property
    def port(self) -> int:
        return int(msgspec.json.decode((self.data / "ports.json").read_bytes())["http"])

    def children(self) -> dict[int, str]:
        """Every process of this stack but the first, by pid: its command line."""
        found = {}
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and int(process.name) != self.process.pid and self._owns(process):
                    found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
        return found

    def _owns(self, process: Path) -> bool:
        """Services work inside the data directory; API and worker have its secrets in their environment."""
        here = str((process / "cwd").readlink()).startswith(str(self.data))
        return here or self._password().encode() in (process / "environ").read_bytes()

    def gone(self, seconds: float) -> None:
        """Wait until nothing of the stack is left."""
        end = time.monotonic() + seconds
        while self.children():
            assert time.monotonic() < end, self.children()
            time.sleep(0.02)

    def _password(self) -> str:
        return str(msgspec.json.decode((self.data / "secrets.json").read_bytes())["valkey_password"])

    def pid_of(self, words: str) -> int:
        """The oldest process whose command line has these words."""
        return min(pid for pid, line in self.children().items() if words in line)


@pytest.fixture
def running(data_dir: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        started.append(Running(data_dir / "elsewhere", *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        one.gone(15)


@pytest.mark.system
def test_up_is_ready_in_time_and_leaves_nothing_behind(running: Callable[..., Running]) -> None:
    cold = running()
    assert cold.ready(60) <= 20
    assert cold.status("/readyz") == 200
    secrets = (cold.data / "secrets.json").read_text().split('"')
    assert not [line for line in cold.children().values() for word in secrets if len(word) > 40 and word in line]
    cold.process.send_signal(signal.SIGINT)
    assert cold.process.wait(30) == 0
    assert cold.children() == {}
    warm = running("--demo")
    assert warm.ready(60) <= 6
    warm.wait_until(lambda: "log in as" in warm.log.read_text(), 60)
    assert (warm.data / "demo.json").exists()
    warm.process.send_signal(signal.SIGTERM)
    assert warm.process.wait(30) == 0
    assert warm.children() == {}


@pytest.mark.system
def test_up_brings_back_what_is_killed(running: Callable[..., Running]) -> None:
    one = running("--workers", "2")
    one.ready(60)
    for words in ("taskforge api", "taskforge worker", "bin/postgres", "valkey-server", "bin/tansu"):
        killed = one.pid_of(words)
        os.kill(killed, signal.SIGKILL)
        one.wait_until(lambda gone=killed: gone not in one.children(), 30)
        one.wait_until(lambda words=words: any(words in line for line in one.children().values()), 30)
        one.wait_until(lambda: one.status("/readyz") == 200, 30)


@pytest.mark.system
def test_up_killed_hard_leaves_no_process(running: Callable[..., Running]) -> None:
    one = running()
    one.ready(60)
    assert len(one.children()) > 4
    one.process.kill()
    one.process.wait()
    one.gone(15)


@pytest.mark.system
def test_up_interrupted_while_starting_stops_what_it_started(running: Callable[..., Running]) -> None:
    one = running()
    one.wait_until(lambda: (one.data / "postgres").exists(), 30)
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(30) == 0
    assert one.children() == {}


@pytest.mark.system
def test_two_copies_started_at_once_share_nothing(data_dir: Path) -> None:
    for name in ("one", "two"):
        (data_dir / name).mkdir()
    copies = [Running(data_dir / name / ".taskforge") for name in ("one", "two")]
    try:
        for copy in copies:
            copy.ready(60)
        ports = [msgspec.json.decode((copy.data / "ports.json").read_bytes()) for copy in copies]
        assert not set(ports[0].values()) & set(ports[1].values())
        assert [copy.status("/readyz") for copy in copies] == [200, 200]
    finally:
        for copy in copies:
            copy.process.terminate()
        for copy in copies:
            copy.process.wait(30)
            copy.gone(15)


def first_child(pid: int) -> bool:
    return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text().strip())


@pytest.mark.anyio
async def test_an_api_told_to_stop_while_its_worker_loads_stops_at_once(
    services: Services, database: DatabaseSettings
) -> None:
    """The worker once kept its parent's signal handlers while importing, lost the signal and had to be killed."""
    environment = os.environ | external(services, database) | {"TASKFORGE_HTTP__PORT": str(free_port())}
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
