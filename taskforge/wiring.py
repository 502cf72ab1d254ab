"""The composition root: opens what a process needs, introduces it to each other, closes it last in, first out.

Tests and commands call it too. No globals, no look-ups by name: what is not in `Services` is out of reach.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from valkey.asyncio import Valkey

from actors.system import TeamSystem
from api.auth.passwords import Passwords
from api.auth.tokens import AccessTokens, Revocations
from api.services import Probe, Services
from db.ids import new_id
from db.journal.journal import PostgresJournal
from db.keyset import Keyset
from db.people.identity import Identity
from db.people.sessions import Lifetimes
from db.people.tickets import Tickets
from db.pool import Pools, open_pools
from db.snapshots import ValkeySnapshots
from db.valkey import open_valkey
from streams.feeds.hub import Hub
from streams.settings import KafkaSettings
from taskforge.clock import SystemClock
from taskforge.settings import Settings

__all__ = ["running"]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """All parts of one process that reads and changes teams: an API worker, an import, a test.

    Raises StorageUnavailable or UnsafeServer when Postgres cannot be used; Valkey may be away. What the block raises
    comes out as itself, not in an exception group.
    """
    failure: Exception | None = None
    try:
        async with (
            open_valkey(settings.valkey.url.reveal()) as valkey,
            open_pools(settings.database) as pools,
            anyio.create_task_group() as servants,
        ):
            services = _introduce(settings, pools, valkey)
            async with services.teams.running():
                await servants.start(services.hub.run)
                await servants.start(services.revocations.run)
                try:
                    yield services
                except Exception as error:  # noqa: BLE001 (raised again below, once everything is closed)
                    failure = error
            await services.hub.flush()
            servants.cancel_scope.cancel()
    except asyncio.CancelledError:
        # A task group of asyncio that failed in the block leaves the task marked as being cancelled (Python 3.11), and
        # anyio then takes its own cancellation for one from outside.
        if failure is None:
            raise
    if failure is not None:
        raise failure


def _introduce(settings: Settings, pools: Pools, valkey: Valkey) -> Services:
    clock, journal = SystemClock(), PostgresJournal(pools)
    hub = Hub(journal, settings.feeds, valkey)
    teams = TeamSystem(
        journal=journal,
        snapshots=ValkeySnapshots(valkey),
        feed=hub,
        clock=clock,
        new_id=new_id,
        settings=settings.actors,
    )
    hub.attach(teams)
    auth = settings.auth
    lifetimes = Lifetimes(
        idle=auth.refresh_idle_seconds, absolute=auth.refresh_absolute_seconds, grace=auth.grace_seconds
    )
    identity = Identity(pools.api, lifetimes)
    revocations = Revocations(identity.sessions, valkey, access_seconds=auth.access_seconds)
    return Services(
        http=settings.http,
        auth=auth,
        teams=teams,
        hub=hub,
        journal=journal,
        pools=pools,
        valkey=valkey,
        identity=identity,
        tokens=AccessTokens(auth, Keyset(settings.keys), revocations),
        revocations=revocations,
        passwords=Passwords(),
        tickets=Tickets(valkey),
        clock=clock,
        new_id=new_id,
        probes=_probes(settings, pools, valkey),
    )


def _probes(settings: Settings, pools: Pools, valkey: Valkey) -> tuple[Probe, ...]:
    """What `/readyz` asks. Without Postgres nothing can be acknowledged; the other two only make it slower or later."""

    async def postgres() -> None:
        await pools.writer.fetchval("select 1")

    async def cache() -> None:
        await valkey.ping()

    return (
        Probe("postgres", postgres),
        Probe("valkey", cache, required=False),
        Probe("kafka", _reaches(settings.kafka), required=False),
    )


def _reaches(kafka: KafkaSettings) -> Callable[[], Awaitable[None]]:
    """A TCP connection to one of the brokers: the API itself never talks to Kafka, it only reports."""

    async def reach() -> None:
        failure: OSError | None = None
        for server in kafka.bootstrap_servers.split(","):
            host, _, port = server.strip().rpartition(":")
            try:
                stream = await anyio.connect_tcp(host, int(port))
            except OSError as error:
                failure = error
            else:
                await stream.aclose()
                return
        raise failure or OSError("no broker is named")

    return reach
