"""What may happen to a system. Each fault is a block: it has begun when the block begins, and is over at its end."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
import pytest
import valkey.asyncio
from msgspec import Struct

from tests.faults import forging
from tests.faults.world import World
from tests.support.freezing import family, frozen
from tests.support.system import BROKER, children, command_line, runs
from tests.support.waiting import eventually, until

__all__ = ["ALL", "Fault", "named"]

Act: TypeAlias = Callable[[World], AbstractAsyncContextManager[None]]

API, WORKER, POSTGRES, VALKEY = "taskforge api", "taskforge worker", "bin/postgres", "valkey-server"
CRASH_LOOP_SECONDS: Final = 6.0
LOADED_SECONDS: Final = 3.0
"""By then the next worker serves, and the server still holds its end against it."""
AWAY_SECONDS: Final = 30.0
LITTLE: Final = 40
"""Events of each team."""
BACKEND: Final = "taskforge_writer"


class Fault(Struct, frozen=True):
    """`seconds`: how long it lasts. `rewrites`: a history is taken back by it, to a cut that it makes itself. `quiet`:
    it lasts until everything has been answered that was asked for meanwhile. `kills`: it is over once it has begun.
    """

    name: str
    act: Act
    seconds: float = 0.0
    rewrites: bool = False
    quiet: bool = False
    kills: bool = False


# Processes


def pid_of(world: World, part: str) -> int:
    """The part's main process: the one that the supervisor has started."""
    return next(pid for pid in children(world.system.process.pid) if part in command_line(Path(f"/proc/{pid}")))


def api_worker(world: World) -> int:
    """The newest of the processes that answer requests."""
    return max(children(pid_of(world, API)))


async def kill_api_worker(world: World) -> None:
    """A server whose worker ends twice within some seconds believes in a crash loop and ends as a whole."""
    await until(lambda: time.monotonic() - world.worker_killed > CRASH_LOOP_SECONDS)
    world.struck = world.worker_killed = time.monotonic()
    os.kill(api_worker(world), signal.SIGKILL)


def backend(world: World) -> int:
    """A process of Postgres that serves our committers."""
    servers = children(pid_of(world, POSTGRES))
    return next(pid for pid in servers if BACKEND in command_line(Path(f"/proc/{pid}")))


Which: TypeAlias = Callable[[World], int]


def killed(which: Which) -> Act:
    @asynccontextmanager
    async def act(world: World) -> AsyncIterator[None]:
        pid = which(world)
        victims = family(pid)
        os.kill(pid, signal.SIGKILL)
        yield
        # What was below it may go on for a moment, which is no recovery.
        await until(lambda: not any(runs(victim) for victim in victims))

    return act


def stopped(which: Which, *, below: bool = False) -> Act:
    """SIGSTOP, and SIGCONT in the end; `below` takes along all processes below."""

    @asynccontextmanager
    async def act(world: World) -> AsyncIterator[None]:
        with frozen(which(world), below=below):
            yield

    return act


@asynccontextmanager
async def api_worker_killed(world: World) -> AsyncIterator[None]:
    await kill_api_worker(world)
    yield


@asynccontextmanager
async def api_worker_killed_twice(world: World) -> AsyncIterator[None]:
    """Then the server ends as a whole, and the supervisor starts another one."""
    await kill_api_worker(world)
    main = pid_of(world, API)
    await until(lambda: time.monotonic() - world.worker_killed > LOADED_SECONDS)
    world.struck = world.worker_killed = time.monotonic()
    os.kill(api_worker(world), signal.SIGKILL)
    await until(lambda: not runs(main), CRASH_LOOP_SECONDS)
    yield


@asynccontextmanager
async def supervisor_killed(world: World) -> AsyncIterator[None]:
    """And `up` again, as a host that starts anew would run it: the fault is over when that says it is ready."""
    old = world.system
    old.process.kill()
    await asyncio.to_thread(old.process.wait)
    await asyncio.to_thread(eventually, lambda: not old.processes(), "no process is left")
    yield
    world.system = world.start_again()
    await asyncio.to_thread(world.system.start)


@asynccontextmanager
async def broker_frozen_and_worker_killed(world: World) -> AsyncIterator[None]:
    """What the worker has sent and nobody has acknowledged dies with it."""
    with frozen(pid_of(world, BROKER)):
        yield
        os.kill(pid_of(world, WORKER), signal.SIGKILL)


@asynccontextmanager
async def broker_away_and_wiped(world: World) -> AsyncIterator[None]:
    """The broker stands still for as long as the fault lasts, under load, and then comes back without anything.

    Whoever writes must not notice: every team is acknowledged something in each third of that time.
    """
    pid = pid_of(world, BROKER)
    watching = asyncio.create_task(note_silence(world))
    try:
        with frozen(pid):
            yield
            if runs(pid):
                os.kill(pid, signal.SIGKILL)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def note_silence(world: World) -> None:
    """Report teams that were acknowledged nothing for ten seconds, until cancelled."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(AWAY_SECONDS / 3)
        for team, ledger in world.ledgers.items():
            if ledger.newest < began:
                world.report.note("slow", f"team {team} was acknowledged nothing while the broker was away")


# Postgres and its disk


@asynccontextmanager
async def disk_full(world: World) -> AsyncIterator[None]:
    assert world.disk is not None, "the system has no disk of its own"
    await asyncio.to_thread(world.disk.fill)
    try:
        async with world.database.connection() as connection:
            with pytest.raises(asyncpg.DiskFullError):
                await connection.execute(
                    "create table too_much as select repeat(md5(n::text), 99) from generate_series(1, 9999) n"
                )
        yield
    finally:
        world.disk.free()


@asynccontextmanager
async def connections_taken(world: World) -> AsyncIterator[None]:
    async with world.database.full():
        yield


@asynccontextmanager
async def row_locked(world: World) -> AsyncIterator[None]:
    """One team waits for the end of it; the others go on."""
    locked, *others = world.team_ids
    async with world.database.holding("select id from teams where id = $1::text::uuid for update", locked):
        began = time.monotonic()
        yield
        waiting = [team for team in others if world.ledgers[team].newest < began]
    for team in waiting:
        world.report.note("slow", f"team {team} waited for the locked row of {locked}")


@asynccontextmanager
async def table_locked(world: World) -> AsyncIterator[None]:
    async with world.database.holding("lock table task_events in access exclusive mode"):
        yield


# History


@asynccontextmanager
async def restored(world: World) -> AsyncIterator[None]:
    """A dump, more work, and the dump restored under the running system; nothing else is touched."""
    dump = await world.database.dump()
    await more_work(world)
    await take_back(world)
    yield
    await world.database.restore(dump)


async def take_back(world: World) -> None:
    world.session.rewriting = True
    await world.database.drop()
    for ledger in world.ledgers.values():
        ledger.rewritten()


@asynccontextmanager
async def rewound(world: World) -> AsyncIterator[None]:
    """The rows of some seconds ago put back in place, while everybody goes on."""
    await world.database.keep()
    await more_work(world)
    world.session.rewriting = True
    await world.database.put_back()
    for ledger in world.ledgers.values():
        ledger.rewritten()
    yield


@asynccontextmanager
async def restored_under_snapshots(world: World) -> AsyncIterator[None]:
    """The same, with snapshots in Valkey of what is taken back: an API server that ends in order leaves them."""
    dump = await world.database.dump()
    await more_work(world, LITTLE)
    async with valkey.asyncio.from_url(world.valkey_url) as client:
        await client.flushall()
        os.kill(pid_of(world, API), signal.SIGTERM)
        while len([key async for key in client.scan_iter(forging.SNAPSHOTS)]) < len(world.team_ids):
            await asyncio.sleep(0.05)
    await asyncio.to_thread(eventually, world.system.ready, "the next server is ready")
    await take_back(world)
    yield
    await world.database.restore(dump)


@asynccontextmanager
async def api_killed_beyond(world: World) -> AsyncIterator[None]:
    """When the teams are beyond what `restored_under_snapshots` took back, everything begins with the snapshots."""
    await more_work(world, 2 * LITTLE)
    world.struck = time.monotonic()
    os.kill(pid_of(world, API), signal.SIGKILL)
    yield


async def more_work(world: World, events: int = 150) -> None:
    """Until every team is so far beyond its cut."""
    goals = {team: seq + events for team, (_, seq) in (await world.database.heads()).items()}
    world.go()
    for team, goal in goals.items():
        while (await world.database.heads())[team][1] < goal:
            await asyncio.sleep(0.05)


# Valkey


@asynccontextmanager
async def flushed(world: World) -> AsyncIterator[None]:
    async with valkey.asyncio.from_url(world.valkey_url) as client:
        await client.flushall()
    yield


@asynccontextmanager
async def mute(world: World) -> AsyncIterator[None]:
    """Valkey takes no message any more, and stays connected to everybody."""
    async with valkey.asyncio.from_url(world.valkey_url) as client:
        await client.execute_command("ACL", "SETUSER", "default", "-publish")
        try:
            yield
        finally:
            await client.execute_command("ACL", "SETUSER", "default", "+publish")


@asynccontextmanager
async def poisoned(world: World) -> AsyncIterator[None]:
    """Garbage in every value and on every channel; then a process that reads the values anew."""
    await forging.poison(world.valkey_url, world.team_ids)
    await kill_api_worker(world)
    yield


@asynccontextmanager
async def forged(world: World) -> AsyncIterator[None]:
    """Genuine values and messages, changed by somebody who knows everything but the keys; then they are read anew."""
    async with valkey.asyncio.from_url(world.valkey_url) as client:
        forger = forging.Forger(client, world.team_ids, world.session.colleague)
        async with forger.listening():
            await forger.speak()
            await kill_api_worker(world)
            yield
            await world.quiet()
            await forger.foretell(await world.database.heads())


ALL: Final = (
    Fault("kill api main", killed(lambda world: pid_of(world, API)), kills=True),
    Fault("kill api worker", api_worker_killed, kills=True),
    Fault("kill api worker twice", api_worker_killed_twice, kills=True),
    Fault("kill worker", killed(lambda world: pid_of(world, WORKER)), kills=True),
    Fault("kill postgres", killed(lambda world: pid_of(world, POSTGRES)), kills=True),
    Fault("kill backend", killed(backend), kills=True),
    Fault("kill valkey", killed(lambda world: pid_of(world, VALKEY)), kills=True),
    Fault("kill broker", killed(lambda world: pid_of(world, BROKER)), kills=True),
    Fault("kill supervisor", supervisor_killed),
    Fault("stop api main", stopped(lambda world: pid_of(world, API)), 1.5),
    Fault("stop api worker", stopped(api_worker), 2.5),
    Fault("stop worker", stopped(lambda world: pid_of(world, WORKER)), 2.5),
    Fault("stop postgres", stopped(lambda world: pid_of(world, POSTGRES), below=True), 2.5),
    Fault("stop backend", stopped(backend), 2.5),
    Fault("stop valkey", stopped(lambda world: pid_of(world, VALKEY)), 2.5),
    Fault("stop broker", stopped(lambda world: pid_of(world, BROKER)), 3.0),
    Fault("stop supervisor", stopped(lambda world: world.system.process.pid), 1.5),
    Fault("stop broker and kill worker", broker_frozen_and_worker_killed, 1.5),
    Fault("stop broker and wipe it", broker_away_and_wiped, AWAY_SECONDS),
    Fault("disk full", disk_full, 2.5),
    Fault("valkey poisoned", poisoned),
    Fault("connections taken", connections_taken, 2.0),
    Fault("restore", restored, rewrites=True),
    Fault("valkey forged", forged, 0.5),
    Fault("row locked", row_locked, 2.5),
    Fault("rewind", rewound, rewrites=True),
    Fault("valkey flushed", flushed),
    Fault("restore under snapshots", restored_under_snapshots, rewrites=True),
    Fault("kill api main beyond", api_killed_beyond, kills=True),
    Fault("table locked", table_locked, 2.0),
    Fault("valkey mute", mute, 1.5, quiet=True),
)


def named(name: str) -> Fault:
    return next(fault for fault in ALL if fault.name == name)
