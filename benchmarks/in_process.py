"""Teams in this very process, for measuring the commit path without HTTP."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg

from actors.envelope import CommandResult
from api.services import Services
from benchmarks.measure import Sample, sample_of
from benchmarks.stack import Stack
from core.ask import Ask
from core.commands import Batch, CreateTask, CreateTeam, UpdateTask
from core.principal import Principal
from core.task import TaskFields, TaskPatch
from db.ids import new_id
from taskforge.parts.names import API
from taskforge.tuning import tune_collector
from taskforge.wiring import running

__all__ = ["Change", "InProcess", "Target", "hammer", "open_system"]

TASKS: Final = 64
PASSWORDLESS: Final = (
    "insert into users (id, email, name, created_at, updated_at) values ($1, $2, 'Benchmark', now(), now())"
)

Target = tuple[UUID, UUID]
Change = Callable[[Target, TaskPatch], Awaitable[object]]


class InProcess:
    """A system of this process with an owner of every team."""

    def __init__(self, services: Services, owner: UUID) -> None:
        self.services = services
        self.owner = owner
        self._by_owner = Ask(Principal.of_user(owner))

    async def team(self, number: int) -> list[Target]:
        """A new team of 64 tasks: (team id, task id) of each."""
        team_id = new_id()
        await self.services.teams.ask(
            team_id,
            CreateTeam(team_id, f"Team {number}", f"T{number}", "Benchmark"),
            self._by_owner,
        )
        created = Batch(tuple(CreateTask(TaskFields(title=f"Task {index}")) for index in range(TASKS)))
        result = await self.services.teams.ask(team_id, created, self._by_owner)
        return [(team_id, item.task.id) for item in result.items]

    async def change(self, target: Target, patch: TaskPatch) -> CommandResult:
        """One change by the actor of the team."""
        return await self.services.teams.ask(target[0], UpdateTask(target[1], patch), self._by_owner)


@asynccontextmanager
async def open_system(stack: Stack) -> AsyncIterator[InProcess]:
    """The system over the stack, with a fresh user."""
    owner = new_id()
    connection = await asyncpg.connect(stack.superuser_url)
    try:
        await connection.execute(PASSWORDLESS, owner, f"{owner}@example.com")
    finally:
        await connection.close()
    async with running(stack.settings, API) as process:
        tune_collector()  # As a worker does when it begins to serve.
        yield InProcess(process.services, owner)


async def hammer(change: Change, targets: Sequence[Target], *, clients: int, seconds: float) -> Sample:
    """`clients` that change a title, wait for the commit, and go on with the next target, for so many seconds."""
    latencies: list[float] = []
    numbers = itertools.count()
    run = f"{time.time_ns():x}"
    end = time.perf_counter() + seconds

    async def client() -> None:
        while (started := time.perf_counter()) < end:
            number = next(numbers)
            await change(targets[number % len(targets)], TaskPatch(title=f"Change {number} of run {run}"))
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return sample_of(latencies, time.perf_counter() - started)
