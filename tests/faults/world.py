"""A whole system under load: its processes, teams, and everybody who writes, reads and follows."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from msgspec import Struct

from core.commands import AddMember
from taskforge import embedded
from taskforge.devstack.ports import free_port
from taskforge.parts.names import API
from taskforge.settings import load
from taskforge.wiring import running
from tests.faults.database import Database
from tests.faults.disk import SmallDisk
from tests.faults.feeds import Contents, Feed, LiveFeed, StreamFeed
from tests.faults.follower import Follower
from tests.faults.ledger import TeamLedger
from tests.faults.report import Report
from tests.faults.writers import Session, Writer
from tests.support.account import NO_TLS, PASSWORD, Account
from tests.support.asking import by
from tests.support.system import System
from tests.support.waiting import eventually, until

__all__ = ["Pace", "World", "started"]

TEAMS, WRITERS = 3, 2
WORKERS = 2
SERVICES = ("postgres", "valkey", "kafka")
TOKEN_SECONDS = 240.0
"""A token is good for ten minutes, and no longer than that after its login."""
ASK_SECONDS = 20.0


class Pace(Struct, frozen=True, kw_only=True):
    """How long a round is. `before` a fault and `after` the recovery so many writes are acknowledged, at least.

    `interval` is the shortest time from one request of a writer to the next; within `topic_seconds` the consumer must
    have the whole topic, which it reads again after a restore or another life of the broker.
    """

    before: int = 100
    after: int = 150
    interval: float = 0.05
    topic_seconds: float = 12.0


class World:
    """`team_ids` in the order in which they were made; `ledgers` and `feeds` by team."""

    def __init__(self, system: System, disk: SmallDisk | None, report: Report, pace: Pace) -> None:
        self.system, self.disk, self.report, self.pace = system, disk, report, pace
        self.contents = Contents(report)
        self.ledgers: dict[str, TeamLedger] = {}
        self.feeds: dict[str, Sequence[Feed]] = {}
        self.writers: list[Writer] = []
        self.session = Session(system.url, {}, "")
        self.database = Database(system)
        self.follower = Follower(self.bootstrap, report, self.contents)
        self.struck = self.worker_killed = float("-inf")
        """When the fault of this round, and a process of the API server, was killed; by the monotonic clock."""
        self.start_again: Callable[[], System] = lambda: system
        self._email = ""

    @property
    def team_ids(self) -> list[str]:
        return list(self.ledgers)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.system.port('kafka')}"

    @property
    def variables(self) -> dict[str, str]:
        """The settings of the system's processes. Its objects are on its own disk, which has no path out here."""
        return embedded.complete({"TASKFORGE_OBJECTS__URL": "memory:"}, self.system.data)

    @property
    def valkey_url(self) -> str:
        return self.variables["TASKFORGE_VALKEY__URL"]

    async def settle(self) -> None:
        """Make people and teams; everybody who takes part gets to know them."""
        account, colleague = [await asyncio.to_thread(Account, self.system.url) for _ in range(2)]
        with closing(account.http), closing(colleague.http):
            me, other = (one.call("GET", "/v1/me") for one in (account, colleague))
            self._email, self.session.colleague = account.email, other["id"]
            self.session.headers = {"authorization": account.http.headers["authorization"]}
            teams = [await asyncio.to_thread(account.team) for _ in range(TEAMS)]
        await self._join(teams, me["id"], other)
        numbers = itertools.count(1)
        for team, (_, seq) in (await self.database.heads()).items():
            ledger = self.ledgers[team] = TeamLedger(team, seq, self.report)
            self.writers += [self._writer(next(numbers), ledger) for _ in range(WRITERS)]
            self.feeds[team] = [
                kind(self.session, team, seq, self.report, self.contents) for kind in (StreamFeed, LiveFeed)
            ]

    def _writer(self, number: int, ledger: TeamLedger) -> Writer:
        return Writer(number, self.session, ledger, self.report, self.pace.interval)

    async def _join(self, teams: Sequence[str], owner: str, colleague: Mapping[str, Any]) -> None:
        """Nobody can be invited yet: another process of ours, as an import is one, makes the colleague a member."""
        async with running(load(self.variables), API) as process:
            for team in teams:
                command = AddMember(UUID(colleague["id"]), colleague["name"], "member")
                await process.teams.ask(UUID(team), command, by(owner))

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        """Everybody does what they do until the block ends; writers wait to be told to `go`."""
        works = [self.follower.run(), self._log_in_again(), *[writer.run() for writer in self.writers]]
        works += [feed.run() for feeds in self.feeds.values() for feed in feeds]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
            broken = [task for task in tasks if task.done()]
            for task in broken:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _log_in_again(self) -> None:
        body = {"email": self._email, "password": PASSWORD}
        while True:
            await asyncio.sleep(TOKEN_SECONDS)
            answer = await self.insist("POST", "/v1/auth/login", json=body)
            self.session.headers = {"authorization": f"Bearer {answer.json()['access_token']}"}

    async def insist(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A success, asked for on a new connection each time. Raises TimeoutError."""
        options["headers"] = {**self.session.headers, **options.get("headers", {})}
        async with asyncio.timeout(ASK_SECONDS):
            while True:
                async with httpx.AsyncClient(base_url=self.session.url, timeout=6, verify=NO_TLS) as client:
                    try:
                        answer = await client.request(method, path, **options)
                        if answer.is_success:
                            return answer
                    except httpx.TransportError:
                        pass
                await asyncio.sleep(0.05)

    def go(self) -> None:
        for writer in self.writers:
            writer.go()

    async def quiet(self, seconds: float = ASK_SECONDS) -> bool:
        """Let what is under way be answered and begin nothing more; whether all of it was."""
        for writer in self.writers:
            writer.pause()
        try:
            await until(lambda: all(writer.idle.is_set() for writer in self.writers), seconds)
        except TimeoutError:
            return False
        return True


def choose_ports(data: Path) -> int:
    """Ports that no other system looks for, to be the same after a start; the one for HTTP is returned.

    The usual ones would be taken by somebody else while a killed system is away.
    """
    ports: list[int] = []
    while len(ports) < 1 + len(SERVICES):
        ports.append(free_port(avoid=frozenset(ports)))
    data.mkdir(mode=0o700, exist_ok=True)
    (data / "ports.json").write_text(json.dumps(dict(zip(SERVICES, ports, strict=False))))
    return ports[-1]


@asynccontextmanager
async def started(
    directory: Path,
    report: Report,
    pace: Pace,
    *,
    disk: SmallDisk | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[World]:
    """A system of its own with people and teams in it, until the block ends; then it must end in order."""

    port = choose_ports(disk.seen if disk else directory / "data")

    def up() -> System:
        return System(
            *(directory, "--workers", str(WORKERS), "--port", str(port)),
            before=disk.before if disk else (),
            environment=environment,
            seen=disk.seen if disk else None,
        )

    system = up()
    with ExitStack() as stack:
        stack.callback(lambda: world.system.kill() if world else system.kill())
        world: World | None = None
        await asyncio.to_thread(system.start)
        # Whoever asks for a topic before it is laid out makes another one.
        ready = "the worker is ready"
        await asyncio.to_thread(eventually, lambda: system.status("/readyz", "ops") == 200, ready)
        world = World(system, disk, report, pace)
        world.start_again = up
        await world.settle()
        async with AsyncExitStack() as busy:
            await busy.enter_async_context(world.under_load())
            yield world
        assert await asyncio.to_thread(world.system.stop) == 0
