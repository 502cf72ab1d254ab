"""`taskforge up`: embedded services, migrations, API and worker, until Ctrl-C."""

import argparse
import asyncio
import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from db.installation import check_database
from taskforge import embedded, logs
from taskforge.commands import migrate
from taskforge.devstack import DevStack, DevstackError, Kind, running_devstack
from taskforge.devstack.child import Child, Launch
from taskforge.devstack.errors import PortTaken
from taskforge.devstack.ports import PortBook, claim, free_port, is_free
from taskforge.devstack.supervisor import Supervisor
from taskforge.processes import ApiProcess, WorkerProcess, command
from taskforge.settings import Settings, SettingsError, adopt, load, read_variables

__all__ = ["run"]

logger = logging.getLogger(__name__)

READY_SECONDS = 60.0
READY_POLL = 0.05
PORT = "TASKFORGE_HTTP__PORT"
MAIL, MAILBOX = "TASKFORGE_MAIL__URL", "TASKFORGE_MAIL__MAILBOX"
OWN_MACHINE = {
    "TASKFORGE_LIMITS__PRINCIPAL": "600000",
    "TASKFORGE_LIMITS__ADDRESS": "120000",
    "TASKFORGE_LIMITS__LOGIN": "600",
    "TASKFORGE_LIMITS__REFRESH": "30000",
    "TASKFORGE_LIMITS__SIGNUP": "10000",
    "TASKFORGE_LIMITS__ACCEPT": "10000",
    "TASKFORGE_LIMITS__INVITATIONS": "10000",
    "TASKFORGE_WEBHOOKS__LOOPBACK": "true",
}
"""All users of a machine of one's own have one address, and scripts are quicker than people."""


class Plan(msgspec.Struct, frozen=True):
    """What to start: `kinds` of embedded services; `given` are the variables people set; `port` is demanded or None."""

    data: Path
    given: dict[str, str]
    kinds: frozenset[Kind]
    port: int | None
    demo: bool
    settings: Settings


def run(args: argparse.Namespace, _: None) -> int:
    """Raises `SettingsError` and `DevstackError` before anything is left running."""
    plan = _plan(args)
    logs.configure(plan.settings.log_level, plan.settings.log_format)
    return asyncio.run(_until_signalled(plan))


def _plan(args: argparse.Namespace) -> Plan:
    given, problems = read_variables(os.environ, Path(".env"))
    if problems:
        raise SettingsError(problems)
    if args.workers:
        given["TASKFORGE_HTTP__WORKERS"] = str(args.workers)
    if args.port:
        given[PORT] = str(args.port)
    kinds = frozenset(embedded.missing_kinds(given))
    return Plan(
        data=args.data,
        given=given,
        kinds=kinds,
        port=int(given[PORT]) if given.get(PORT, "").isdecimal() else None,
        demo=args.demo,
        settings=load(_stand_ins(given, kinds) | given, also=[embedded.OWNER]),
    )


def _stand_ins(given: Mapping[str, str], kinds: frozenset[Kind]) -> dict[str, str]:
    """For checking the settings before the services run; in production keys are never generated."""
    names = [name for kind in kinds for name in embedded.NAMES[kind]]
    if given.get("TASKFORGE_MODE") != "production":
        names.append(embedded.KEYS)
    return {name: embedded.STAND_INS[name] for name in names}


async def _until_signalled(plan: Plan) -> int:
    """Everything runs in one task, which a signal cancels: whatever was started by then is stopped in order."""
    loop = asyncio.get_running_loop()
    console = Console(highlight=False, soft_wrap=True)
    session = asyncio.create_task(_session(plan, console), name="up")
    stopping = asyncio.Event()

    def stop() -> None:
        if not stopping.is_set():
            stopping.set()
            console.print("stopping …")
            session.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    try:
        await session
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
        console.print("stopped")
    return 0


async def _session(plan: Plan, console: Console) -> None:
    started = time.monotonic()
    host = plan.settings.http.host
    if plan.port is not None and not is_free(plan.port, host):
        raise DevstackError(f"cannot listen on {host}:{plan.port}: the port is taken; choose another --port")
    async with AsyncExitStack() as stack:
        devstack = await stack.enter_async_context(running_devstack(plan.data, want=plan.kinds))
        database = load(_variables(plan, devstack)).database
        report = await migrate.apply(database)
        await check_database(database.worker_url)
        port = stack.enter_context(_own_port(plan))
        book = PortBook(devstack.data.ports, {})
        book.remember("http", port)
        environment = _children_environment(_variables(plan, devstack, port))
        api = ApiProcess(environment, host, port, plan.settings.ops.api_port, book)
        worker = WorkerProcess(environment, plan.settings.ops.host, plan.settings.ops.port, book)
        await stack.enter_async_context(Supervisor([worker, api]))
        await _until_ready(api)
        _summary(console, api, worker, devstack, len(report.ran), time.monotonic() - started)
        if plan.demo:
            await _seed(plan.data, environment)
        await asyncio.Event().wait()


@contextmanager
def _own_port(plan: Plan) -> Iterator[int]:
    """The HTTP port, ours alone until the end even if another copy chooses one at the same moment."""
    refused: set[int] = set()
    while True:
        port = plan.port or free_port(plan.settings.http.port, avoid=frozenset(refused))
        handle = claim(port, "up")
        if handle is not None:
            break
        refused.add(port)
        if plan.port:
            raise PortTaken("api", port)
    with handle:
        yield port


def _variables(plan: Plan, devstack: DevStack, port: int | None = None) -> dict[str, str]:
    """What yields the final settings, here and in our children."""
    found = embedded.embedded_variables(devstack.secrets, devstack.ports, plan.kinds)
    if plan.settings.mode == "production":
        found.pop(embedded.KEYS)
    else:
        found |= OWN_MACHINE
        if MAIL not in plan.given:
            found[MAILBOX] = str(devstack.data.path.absolute() / "mail")
        found[embedded.OBJECTS] = (devstack.data.path.absolute() / "objects").as_uri()
    return found | plan.given | ({PORT: str(port)} if port else {})


def _children_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """For API and worker: what they need to know, which the owner's URL is not (here it is the superuser's)."""
    environment = dict(os.environ)
    adopt(environment, variables)
    environment.pop(embedded.OWNER, None)
    return environment


async def _until_ready(api: ApiProcess) -> None:
    end = time.monotonic() + READY_SECONDS
    status, body = await api.get("/readyz")
    while status != 200:
        if time.monotonic() > end:
            raise DevstackError(
                f"the API is not ready after {READY_SECONDS:g} s: {body.decode(errors='replace')[:500]}"
            )
        await asyncio.sleep(READY_POLL)
        status, body = await api.get("/readyz")


def _summary(
    console: Console, api: ApiProcess, worker: WorkerProcess, devstack: DevStack, migrations: int, seconds: float
) -> None:
    ports = ", ".join(f"{name} {port}" for name, port in devstack.ports.items()) or "none, all given by URL"
    lines = [
        ("board", f"{api.url}/"),
        ("docs", f"{api.url}/docs"),
        ("operators", f"{api.ops_url}/metrics, worker {worker.url}/ops, /readyz and /metrics"),
        ("services", ports),
        ("data", str(devstack.data.path)),
        ("schema", f"{migrations} migrations applied" if migrations else "up to date"),
        ("stop", "Ctrl-C"),
    ]
    console.print(f"TaskForge is ready ({seconds:.1f} s)", style="bold green" if console.is_terminal else None)
    for name, value in lines:
        console.print(f"  {name:<9} {value}", markup=False)


async def _seed(data: Path, environment: Mapping[str, str]) -> None:
    child = await Child.spawn(Launch(argv=command("demo", "--data", str(data)), env=environment, cwd=Path.cwd()))
    try:
        code = await child.wait()
    except asyncio.CancelledError:
        await child.stop(signal.SIGTERM, 5.0)
        raise
    if code != 0:
        logger.error("the demo data could not be loaded (exit code %s)", code)
