"""`taskforge doctor`: looks at everything TaskForge depends on, says what is wrong and how to mend it."""

import argparse
import asyncio
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import aiosmtplib
import asyncpg
import msgspec
import valkey.asyncio
from rich.console import Console
from valkey.exceptions import ValkeyError

from api.auth.external_issuers import Issuer
from api.auth.fetching import FetchFailed
from api.issuer_settings import IssuerSettings
from api.problems import NOT_READY
from core.errors import TaskForgeError
from core.secret import Secret
from db import migrate
from db.ids import new_id
from db.object_store import ObjectStoreUnavailable, open_store
from db.redactions_due import LATE, overdue
from db.roles import excess_rights, may_become_redactor
from db.settings import ObjectSettings
from db.transaction import reading
from streams.kafka.broker import BrokerUnavailable, administrating, broker_errors
from streams.kafka.topic_configs import Difference, differences
from streams.kafka.topics import plans
from streams.mail.delivery import SmtpServer
from streams.relay_watch import look
from streams.settings import KafkaSettings, MailSettings
from taskforge import embedded
from taskforge.devstack.ports import is_free
from taskforge.parts.names import PARTS
from taskforge.processes import http_get, near
from taskforge.settings import Settings, SettingsError, load, read_variables

__all__ = ["Finding", "examine", "run"]

MIN_PYTHON = (3, 11)
MIN_POSTGRES = 18_00_00
MIN_FREE_BYTES = 1024**3
WAIT_SECONDS = 5.0
FAILURES = (OSError, TaskForgeError, BrokerUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, ValkeyError)
UP = "start everything with `taskforge up`, or set its URL"


class Finding(msgspec.Struct, frozen=True):
    """One checked thing; `remedy` is empty when it is well."""

    what: str
    detail: str
    remedy: str = ""

    @property
    def well(self) -> bool:
        return not self.remedy


def run(args: argparse.Namespace, _: None) -> int:
    # What fails is said below, once and with its remedy.
    logging.disable(logging.CRITICAL)
    findings = asyncio.run(_examine_all(args.data))
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        sign, style = ("ok   ", "green") if finding.well else ("wrong", "bold red")
        console.print(sign, style=style, end=" ")
        console.print(f"{finding.what}: {finding.detail}", markup=False)
        if not finding.well:
            console.print(f"      {finding.remedy}", markup=False)
    return 0 if all(finding.well for finding in findings) else 1


async def _examine_all(data: Path) -> list[Finding]:
    local = [_python(), _disk(data)]
    given, problems = read_variables(os.environ, Path(".env"))
    try:
        if problems:
            raise SettingsError(problems)
        complete = embedded.ops_ports(data) | embedded.complete(given, data)
        settings = load(complete, also=[embedded.OWNER])
    except SettingsError as error:
        mend = "correct it in the environment or .env; a missing URL also comes from `taskforge up`"
        return [*local, *(Finding("settings", problem, mend) for problem in error.problems)]
    return [*local, Finding("settings", f"valid, mode {settings.mode}"), *await examine(settings)]


async def examine(settings: Settings) -> list[Finding]:
    """Every service these settings lead to; nothing is changed. Never raises for a service that is not well."""
    database = settings.database
    checks: list[tuple[str, Callable[[], Awaitable[list[Finding]]]]] = [
        ("postgres", lambda: _postgres(database.owner_url)),
        ("schema", lambda: _schema(database.owner_url)),
        ("role api", lambda: _role("role api", database.api_url)),
        ("role writer", lambda: _role("role writer", database.writer_url)),
        ("role worker", lambda: _role("role worker", database.worker_url)),
        ("role redactor", lambda: _redactor(database.worker_url)),
        ("relay", lambda: _relay(database.worker_url)),
        ("forgetting", lambda: _forgetting(database.worker_url)),
        ("valkey", lambda: _valkey(settings.valkey.url)),
        ("kafka", lambda: _kafka(settings.kafka)),
        ("mail", lambda: _mail(settings.mail)),
        *((f"issuer {one.name}", partial(_issuer, one)) for one in settings.auth.issuers),
        ("objects", lambda: _objects(settings.objects)),
        ("api", lambda: _listener("api", settings.http.host, settings.http.port, "TASKFORGE_HTTP__PORT")),
        ("worker", lambda: _listener("worker", settings.ops.host, settings.ops.port, "TASKFORGE_OPS__PORT")),
    ]
    results = await asyncio.gather(*(_bounded(what, check) for what, check in checks))
    return [finding for result in results for finding in result]


async def _bounded(what: str, check: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            return await check()
    except TimeoutError:
        return [Finding(what, f"no answer within {WAIT_SECONDS:g} s", UP)]
    except (
        OSError,
        TaskForgeError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        ValkeyError,
        BrokerUnavailable,
    ) as error:
        return [Finding(what, f"{type(error).__name__}: {error}", _remedy(error))]


def _remedy(error: Exception) -> str:
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "run `taskforge migrate`: it makes the roles and gives them the passwords of their URLs"
        case asyncpg.InvalidCatalogNameError():
            return "create the database that the URL names"
        case _:
            return UP


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= MIN_PYTHON
    return Finding("python", version, "" if fine else "install Python 3.11 or newer")


def _disk(data: Path) -> Finding:
    place = next(parent for parent in (data.absolute(), *data.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    fine = free >= MIN_FREE_BYTES
    return Finding("disk", f"{free / 1024**3:.1f} GiB free at {place}", "" if fine else "free at least 1 GiB")


async def _postgres(owner: Secret) -> list[Finding]:
    connection = await asyncpg.connect(owner.reveal(), timeout=WAIT_SECONDS)
    try:
        version = int(await connection.fetchval("show server_version_num"))
        durable = {name: await connection.fetchval(f"show {name}") for name in ("fsync", "full_page_writes")}
        durable["synchronous_commit"] = await connection.fetchval("show synchronous_commit")
        vector = await connection.fetchval("select 1 from pg_available_extensions where name = 'vector'")
    finally:
        await connection.close(timeout=WAIT_SECONDS)
    return [
        Finding("postgres", f"version {version // 10_000}.{version % 10_000}",
                "" if version >= MIN_POSTGRES else "TaskForge needs PostgreSQL 18 or newer"),
        *(Finding(name, value, "" if value not in {"off", "local"} else f"set {name} = on: acknowledged means durable")
          for name, value in durable.items()),
        Finding("pgvector", "available" if vector else "missing",
                "" if vector else "install pgvector on the server (package postgresql-18-pgvector)"),
    ]  # fmt: skip


async def _schema(owner: Secret) -> list[Finding]:
    pending = await migrate.check(owner.reveal())
    detail = f"pending: {', '.join(pending)}" if pending else "up to date"
    return [Finding("schema", detail, "run `taskforge migrate`" if pending else "")]


async def _role(what: str, url: Secret) -> list[Finding]:
    connection = await asyncpg.connect(url.reveal(), timeout=WAIT_SECONDS)
    try:
        excess = await excess_rights(connection)
    finally:
        await connection.close(timeout=WAIT_SECONDS)
    if excess:
        return [Finding(what, excess, "row-level security must hold it: use the role that `taskforge migrate` makes")]
    return [Finding(what, "lets us in, under row-level security")]


async def _redactor(url: Secret) -> list[Finding]:
    """Roles belong to the cluster: a dump that was restored elsewhere has neither this one nor who may become it."""
    connection = await asyncpg.connect(url.reveal(), timeout=WAIT_SECONDS)
    try:
        able = await may_become_redactor(connection)
    finally:
        await connection.close(timeout=WAIT_SECONDS)
    if able:
        return [Finding("role redactor", "the worker may become it")]
    remedy = "`grant taskforge_redactor to taskforge_worker with inherit false, set true`, as migration 0018 does"
    return [Finding("role redactor", "the worker may not become it: nobody and nothing can be forgotten", remedy)]


async def _relay(url: Secret) -> list[Finding]:
    """A worker that is dead, or frozen, shows by what waits for it."""
    async with asyncpg.create_pool(url.reveal(), min_size=0, max_size=1) as pool:
        view = await look(pool)
    detail = f"{view.workers} workers, {view.events} events wait"
    if not view.late:
        return [Finding("relay", detail)]
    remedy = "start `taskforge worker`; one that runs says at its /readyz what it waits for"
    return [Finding("relay", f"{detail}, for {view.seconds:.0f} s", remedy)]


async def _forgetting(url: Secret) -> list[Finding]:
    """What is deleted for good is read by nobody; that its text still lies there after an hour is what shows here."""
    async with asyncpg.create_pool(url.reveal(), min_size=0, max_size=1) as pool, reading(pool, None) as tx:
        late = await overdue(tx)
    if not late.number:
        return [Finding("forgetting", "what was deleted for good is forgotten in time")]
    waiting = f"{late.number} deleted tasks and comments wait, the oldest for {late.age / LATE:.1f} h"
    remedy = "start a worker with the parts redaction and operations, or see why its operations are stuck"
    return [Finding("forgetting", waiting, remedy)]


async def _valkey(url: Secret) -> list[Finding]:
    client = valkey.asyncio.from_url(url.reveal(), socket_connect_timeout=WAIT_SECONDS)
    async with client:
        info = await client.info("server")
    return [Finding("valkey", f"version {info.get('valkey_version') or info.get('redis_version')}")]


async def _kafka(kafka: KafkaSettings) -> list[Finding]:
    async with administrating(kafka) as client:
        with broker_errors():
            topics = await client.list_topics()
            differing = await differences(client, plans(kafka, PARTS), kafka.replicas)
    return [Finding("kafka", f"{kafka.bootstrap_servers}, {len(topics)} topics"), *map(_differing, differing)]


def _differing(difference: Difference) -> Finding:
    """A topic that stands and is other than the settings say."""
    remedy = (
        "restart a worker, which changes it where the broker lets it" if difference.alterable else "see docs/topics.md"
    )
    return Finding("topic", str(difference), remedy)


async def _issuer(settings: IssuerSettings) -> list[Finding]:
    """An issuer whose users may come in: it has keys by which we can verify its tokens."""
    what = f"issuer {settings.name}"
    if settings.secret is not None:
        return [Finding(what, "shares a secret with us")]
    try:
        keys = await Issuer(settings).check()
    except FetchFailed as error:
        return [Finding(what, str(error), "correct TASKFORGE_AUTH__ISSUERS, or mend the issuer")]
    usable = f"{keys} keys for {', '.join(settings.algorithms)}"
    return [Finding(what, usable, "" if keys else "correct its algorithms in TASKFORGE_AUTH__ISSUERS")]


async def _mail(settings: MailSettings) -> list[Finding]:
    """The server that mails leave by: it answers, its certificate is good, and it lets us in."""
    url = settings.url.reveal()
    if not url:
        there = f"kept in {settings.mailbox}" if settings.mailbox else "the dev mailbox, in `taskforge up` only"
        return [Finding("mail", f"no server is set: {there}")]
    try:
        await SmtpServer(url).check()
    except aiosmtplib.SMTPAuthenticationError as error:
        return [Finding("mail", f"the server refuses the login ({error.code})", "correct TASKFORGE_MAIL__URL")]
    except (aiosmtplib.SMTPException, OSError) as error:
        return [Finding("mail", f"{type(error).__name__}: {error}", "correct TASKFORGE_MAIL__URL, or mend the server")]
    return [Finding("mail", "the server answers and lets us in")]


async def _objects(settings: ObjectSettings) -> list[Finding]:
    """Whether the object store takes, and gives back, and lets go of something."""
    try:
        store = open_store(settings)
        if store is None:
            return [Finding("objects", "no store is set: exports are refused, except in `taskforge up`")]
        path = f"checks/{new_id()}"
        await store.put(f"{path}/1", _greeting(), limit=100, media_type="text/plain", name="check.txt")
        await store.delete_below(path)
    except (ObjectStoreUnavailable, OSError) as error:
        return [Finding("objects", str(error), "correct TASKFORGE_OBJECTS__URL and its key, or mend the store")]
    return [Finding("objects", "the store takes what it is given, and lets go of it")]


async def _greeting() -> AsyncIterator[bytes]:
    yield b"written by taskforge doctor"


async def _listener(what: str, host: str, port: int, variable: str) -> list[Finding]:
    """One of our own processes. A free port is well, too: it may start there."""
    if port == 0:
        return [Finding(what, f"not looked at: its port is chosen at its start, unless {variable} is set")]
    status, body = await http_get(near(host), port, "/readyz")
    if status == 200:
        return [Finding(what, f"ready on {host}:{port}")]
    if status == 0 and is_free(port, host):
        return [Finding(what, f"not running; {host}:{port} is free")]
    if status == NOT_READY:
        said = body.decode(errors="replace")[:300]
        return [Finding(what, "running but not ready", f"see what it depends on: {said}")]
    return [Finding(what, f"another program answers on {host}:{port}", f"set {variable} to a free port")]
