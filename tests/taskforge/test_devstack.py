"""The embedded services against real processes: crashes, remains of earlier runs, second copies."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
import valkey.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from taskforge.devstack import DataDirBusy, DevStack, DevstackError, ServiceFailed, running_devstack
from taskforge.devstack.child import Launch
from taskforge.devstack.datadir import DataDir
from taskforge.devstack.errors import PortTaken
from taskforge.devstack.kafka import Kafka
from taskforge.devstack.packages import find_binary, package_dir
from taskforge.devstack.ports import LOOPBACK, PortBook, free_port
from taskforge.devstack.postgres import Postgres, binaries
from taskforge.devstack.service import ProcessService, RestartPolicy
from taskforge.devstack.supervisor import Supervisor
from taskforge.devstack.valkey import Valkey
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def fetchval(url: str, sql: str) -> object:
    session = await asyncpg.connect(url)
    try:
        return await session.fetchval(sql)
    finally:
        await session.close()


async def test_postgres_is_durable_has_vectors_and_demands_a_password(services: DevStack) -> None:
    url = services.postgres_url
    assert await fetchval(url, "select current_database()") == "taskforge"
    assert await fetchval(url, "show fsync") == "on"
    assert await fetchval(url, "show synchronous_commit") == "on"
    assert await fetchval(url, "show wal_level") == "replica"
    assert await fetchval(url, "select 1 from pg_available_extensions where name = 'vector'") == 1
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(services.postgres.url_of("taskforge", password="wrong"))


async def test_the_data_directory_is_for_its_owner_alone(services: DevStack) -> None:
    """Whatever the umask says: no other user of the machine reads a password, a log or a row."""
    assert services.data.path.stat().st_mode & 0o777 == 0o700
    # Servers make and remove files of their own all the time.
    found: dict[str, int] = {}
    for path in services.data.path.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found[str(path.relative_to(services.data.path))] = path.lstat().st_mode
    assert {"secrets.json", "ports.json", "lock", "logs/postgres.log", "valkey/valkey.conf"} <= found.keys()
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


def test_a_data_directory_that_an_earlier_release_left_open_is_closed(data_dir: Path) -> None:
    (data_dir / "logs").mkdir()
    left = [data_dir / "ports.json", data_dir / "logs" / "kafka.log"]
    for path in left:
        path.write_text("{}")
        path.chmod(0o644)
    data_dir.chmod(0o755)
    data = DataDir(data_dir)
    data.lock()
    data.unlock()
    assert [path.stat().st_mode & 0o777 for path in (data_dir, *left)] == [0o700, 0o600, 0o600]


async def test_valkey_answers_with_its_password_only(services: DevStack, valkey_url: str) -> None:
    async with valkey.asyncio.from_url(valkey_url) as client:
        assert await client.set("a", "1")
    async with valkey.asyncio.from_url(f"valkey://127.0.0.1:{services.valkey.port}") as stranger:
        with pytest.raises(valkey.AuthenticationError):
            await stranger.get("a")


async def test_kafka_carries_a_message(kafka_bootstrap: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait("greetings", b"hello", key=b"k")
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer("greetings", bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        assert (await asyncio.wait_for(consumer.getone(), 10)).value == b"hello"
    finally:
        await consumer.stop()


@pytest.mark.parametrize("name", ["postgres", "valkey", "kafka"])
async def test_a_killed_service_is_restarted_on_the_same_port(services: DevStack, name: str) -> None:
    service = getattr(services, name)
    pid, port = service.pid, service.port
    restarts = services.supervisor.statistics().restarts[name]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: services.supervisor.statistics().restarts[name] == restarts + 1)
    assert await service.ready()
    assert service.pid != pid
    assert service.port == port


async def test_a_service_killed_on_purpose_stays_down_until_started(services: DevStack) -> None:
    await services.valkey.kill()
    assert services.valkey.pid is None
    assert not await services.valkey.ready()
    await services.valkey.start()
    assert await services.valkey.ready()


async def test_postgres_killed_under_write_load_keeps_every_acknowledged_row(services: DevStack) -> None:
    url = services.postgres_url
    await fetchval(url, "create table if not exists acknowledged (n bigint primary key)")
    acknowledged: list[int] = []

    async def write(lane: int) -> None:
        session = None
        try:
            session = await asyncpg.connect(url)  # Others may have written enough before this one is connected.
            for n in range(lane * 1_000_000, (lane + 1) * 1_000_000):
                await session.execute("insert into acknowledged values ($1)", n)
                acknowledged.append(n)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return
        finally:
            if session is not None:
                session.terminate()

    writers = [asyncio.create_task(write(lane)) for lane in range(8)]
    await until(lambda: len(acknowledged) > 200)
    await services.postgres.kill()
    await asyncio.gather(*writers)
    await services.postgres.start()
    kept = await fetchval(url, "select array_agg(n) from acknowledged")
    assert isinstance(kept, list)
    assert set(acknowledged) <= set(kept)
    await fetchval(url, "drop table acknowledged")


async def rows_of(directory: Path, sql: str) -> object:
    async with running_devstack(directory, want={"postgres"}, default_ports={}) as services:
        return await fetchval(services.postgres_url, sql)


def entries(directory: Path, prefix: str) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.startswith(prefix)]


def owner_of(pid: int | None) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def processes_of(directory: Path) -> list[int]:
    """Processes whose command line or working directory names the directory."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and int(process.name) != os.getpid():
                line = (process / "cmdline").read_bytes().decode(errors="replace")
                if str(directory) in line or str(directory) in str((process / "cwd").readlink()):
                    found.append(int(process.name))
    return found


HOLD = """
import asyncio, sys
from pathlib import Path
from taskforge.devstack import running_devstack

async def hold():
    async with running_devstack(Path(sys.argv[1]), default_ports={}) as services:
        print(services.postgres.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


@contextlib.asynccontextmanager
async def other_supervisor(directory: Path, *prefix: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that runs the services under `directory`."""
    process = await asyncio.create_subprocess_exec(
        *prefix, sys.executable, "-c", HOLD, str(directory), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line.strip().isdigit(), "the services did not start"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await until(lambda: not processes_of(directory))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
async def test_a_supervisor_killed_hard_leaves_no_process_and_loses_no_data(data_dir: Path) -> None:
    async with other_supervisor(data_dir) as supervisor:
        assert len(processes_of(data_dir)) > 3
        supervisor.kill()
        await supervisor.wait()
        await until(lambda: not processes_of(data_dir))
    assert await rows_of(data_dir, "select current_database()") == "taskforge"


async def test_two_supervisors_cannot_share_a_data_directory(data_dir: Path) -> None:
    async with running_devstack(data_dir, want={"valkey"}, default_ports={}):
        with pytest.raises(DataDirBusy, match=rf"in use by another TaskForge \(pid {os.getpid()}\)"):
            async with running_devstack(data_dir, want={"valkey"}, default_ports={}):
                pass


async def test_a_second_copy_takes_the_next_free_ports_and_keeps_them(services: DevStack, data_dir: Path) -> None:
    taken = services.ports
    async with running_devstack(data_dir, default_ports=taken) as second:
        first_ports = second.ports
        assert all(taken[name] < port < taken[name] + 100 for name, port in first_ports.items())
    async with running_devstack(data_dir, default_ports={}) as again:
        assert again.ports == first_ports


async def test_secrets_are_private_and_data_survives_a_restart(data_dir: Path) -> None:
    await rows_of(data_dir, "create table kept as select 7 as n")
    secrets = data_dir / "secrets.json"
    assert secrets.stat().st_mode & 0o777 == 0o600
    before = secrets.read_bytes()
    assert await rows_of(data_dir, "select n from kept") == 7
    assert secrets.read_bytes() == before


def test_the_one_secret_of_an_older_directory_stays_in_the_keyset(data_dir: Path) -> None:
    older = {"postgres_password": "p", "valkey_password": "v", "role_passwords": {}, "jwt_secret": "the only one"}
    path = data_dir / "secrets.json"
    path.write_bytes(msgspec.json.encode(older))
    assert DataDir(data_dir).secrets().keyset == ("the only one",)
    path.write_bytes(msgspec.json.encode(older | {"keys": ["a newer one"]}))
    assert DataDir(data_dir).secrets().keyset == ("a newer one", "the only one")
    del older["jwt_secret"]
    path.write_bytes(msgspec.json.encode(older))
    with pytest.raises(DevstackError, match="damaged"):
        DataDir(data_dir).secrets()


def test_a_new_directory_gets_one_key(data_dir: Path) -> None:
    made = DataDir(data_dir).secrets()
    assert DataDir(data_dir).secrets() == made
    (key,) = made.keyset
    assert len(key) >= 32
    assert msgspec.json.decode((data_dir / "secrets.json").read_bytes())["keys"] == [key]


async def test_no_password_is_visible_on_a_command_line(services: DevStack) -> None:
    lines = b""
    for process in (services.postgres, services.valkey, services.kafka):
        lines += await asyncio.to_thread(Path(f"/proc/{process.pid}/cmdline").read_bytes)
    secrets = [services.secrets.postgres_password, services.secrets.valkey_password, *services.secrets.keyset]
    assert not [secret for secret in secrets if secret.encode() in lines]


async def test_a_half_made_cluster_is_moved_aside_and_never_wiped(data_dir: Path) -> None:
    half = data_dir / "postgres"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    (half / "precious").write_text("data")
    draft = data_dir / "postgres.new-1"
    draft.mkdir()
    assert await rows_of(data_dir, "select 1") == 1
    aside = entries(data_dir, "postgres.broken-")
    assert [(path / "precious").read_text() for path in aside] == ["data"]
    assert not draft.exists()


async def test_an_initialisation_killed_midway_starts_over(data_dir: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(data_dir), stdout=asyncio.subprocess.DEVNULL
    )
    await until(lambda: any((path / "PG_VERSION").exists() for path in entries(data_dir, "postgres.new-")))
    process.kill()
    await process.wait()
    await until(lambda: not processes_of(data_dir))
    assert not (data_dir / "postgres").exists()
    (data_dir / "secrets.json").unlink()
    assert await rows_of(data_dir, "select 1") == 1
    assert not entries(data_dir, "postgres.new-")


async def test_a_stale_pid_file_naming_a_living_process_does_not_prevent_the_start(data_dir: Path) -> None:
    await rows_of(data_dir, "create table kept as select 7 as n")
    (data_dir / "postgres" / "postmaster.pid").write_text(
        f"{os.getpid()}\n{data_dir / 'postgres'}\n0\n1\n\n*\n\nready\n"
    )
    assert await rows_of(data_dir, "select n from kept") == 7


async def test_data_of_another_major_version_is_refused_untouched(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    (cluster / "global").mkdir(parents=True)
    (cluster / "global" / "pg_control").touch()
    (cluster / "PG_VERSION").write_text("17\n")
    with pytest.raises(DevstackError, match=r"secrets\.json is missing"):
        await rows_of(data_dir, "select 1")
    (cluster / "PG_VERSION").rename(data_dir / "away")
    DataDir(data_dir).secrets()
    (data_dir / "away").rename(cluster / "PG_VERSION")
    with pytest.raises(DevstackError, match="was made by PostgreSQL 17"):
        await rows_of(data_dir, "select 1")
    assert (cluster / "PG_VERSION").read_text() == "17\n"


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="changes the user, which takes root")
async def test_it_runs_as_an_ordinary_user(data_dir: Path) -> None:
    """A user namespace in which we are nobody: neither root nor able to become it."""
    unshare = shutil.which("unshare")
    assert unshare is not None
    async with other_supervisor(data_dir, unshare, "-U", "--map-user=65534", "--map-group=65534") as supervisor:
        status = await asyncio.to_thread(Path(f"/proc/{supervisor.pid}/status").read_text)
        assert "CapEff:\t0000000000000000" in status


AS_NOBODY = pytest.mark.skipif(
    os.geteuid() != 0 or not all(folder.stat().st_mode & 0o001 for folder in binaries().parents),
    reason="changes the user, which takes root and a checkout that other users may enter",
)


@AS_NOBODY
async def test_root_without_user_namespaces_runs_postgres_as_nobody(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    for _ in range(2):
        async with running_devstack(data_dir, want={"postgres"}, default_ports={}) as services:
            assert owner_of(services.postgres.pid) == pwd.getpwnam("nobody").pw_uid
            assert await fetchval(services.postgres_url, "select 1") == 1


@AS_NOBODY
async def test_root_is_told_when_nobody_cannot_reach_the_data(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DevstackError, match=r"cannot reach .*closed"):
        async with running_devstack(closed / "data", want={"postgres"}, default_ports={}):
            pass


async def test_a_service_that_hangs_is_killed_and_comes_back(data_dir: Path) -> None:
    class Impatient(Valkey):
        restart = RestartPolicy(check=0.1, hang=0.1)

    service = Impatient(data_dir, data_dir / "log", free_port(), "password")
    async with Supervisor([service]) as supervisor:
        assert service.pid is not None
        os.kill(service.pid, signal.SIGSTOP)
        await until(lambda: supervisor.statistics().restarts["valkey"] == 1)
        assert await service.ready()


async def test_a_service_that_cannot_start_says_why_and_stops_those_before_it(data_dir: Path) -> None:
    class Broken(Valkey):
        name = "broken"

        async def launch(self) -> Launch:
            return Launch(argv=["/bin/sh", "-c", "echo out of luck; exit 3"], env={}, log=self.log)

    first = Valkey(data_dir / "first", data_dir / "log1", free_port(), "password")
    second = Broken(data_dir / "second", data_dir / "log2", free_port(), "password")
    with pytest.raises(ServiceFailed, match=r"(?s)broken ended with code 3.*out of luck"):
        await Supervisor([first, second]).start()
    assert first.pid is None


async def test_a_port_taken_by_a_stranger_is_given_up_for_another(data_dir: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as stranger:
        port = stranger.getsockname()[1]
        (data_dir / "ports.json").write_text(f'{{"valkey": {port}}}')
        async with running_devstack(data_dir, want={"valkey"}, default_ports={}) as services:
            assert services.valkey.port != port
            assert await services.valkey.ready()


@pytest.mark.parametrize("name", ["postgres", "valkey", "kafka"])
async def test_another_copy_on_our_port_never_passes_for_ours(services: DevStack, data_dir: Path, name: str) -> None:
    """Two copies that start at once can choose the same port; one of them loses it."""
    port = getattr(services, name).port
    log = data_dir / "log"
    ours: ProcessService
    if name == "postgres":
        ours = Postgres(data_dir / "postgres", log, port, "password")
    elif name == "valkey":
        ours = Valkey(data_dir, log, port, "password")
    else:
        ours = Kafka(data_dir, log, port)
    with pytest.raises(PortTaken):
        await ours.start()
    assert ours.pid is None


async def test_lost_secrets_are_named_and_nothing_is_changed(data_dir: Path) -> None:
    await rows_of(data_dir, "select 1")
    secrets = DataDir(data_dir).secrets()
    other = msgspec.structs.replace(secrets, postgres_password="other")
    (data_dir / "secrets.json").write_bytes(msgspec.json.encode(other))
    with pytest.raises(DevstackError, match=r"the password in secrets\.json is not that of"):
        await rows_of(data_dir, "select 1")
    (data_dir / "secrets.json").write_bytes(msgspec.json.encode(secrets))
    assert await rows_of(data_dir, "select 1") == 1


def test_a_damaged_port_file_costs_only_the_old_numbers(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text("{")
    port = PortBook(path, {"a": free_port()}).claim("a")
    assert PortBook(path, {}).claim("a") == port


def test_a_missing_package_is_named_with_the_remedy() -> None:
    with pytest.raises(DevstackError, match=r"no_such_package is not installed: install taskforge\[devstack\]"):
        package_dir("no_such_package")


def test_a_binary_without_execute_permission_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "odd_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tool").write_text("#!/bin/sh\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, _: "odd_package" not in str(path))
    found = find_binary("odd_package", "tool", fallback=tmp_path)
    assert found == tmp_path / "tool"
    assert found.stat().st_mode & 0o111
