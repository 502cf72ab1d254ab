"""Two processes writing one hot team, against one alone: what fences, catch-up and locks cost."""

import asyncio
import os
import sys
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import uvloop

from benchmarks.in_process import InProcess, Target, hammer, open_system
from benchmarks.machine import ROOT
from benchmarks.measure import Goal, Result, Sample, in_turn
from benchmarks.stack import Stack, open_stack
from taskforge.parts.names import API
from taskforge.settings import load
from taskforge.tuning import schedule_in_batches, tune_collector
from taskforge.wiring import running

__all__ = ["run"]

GOAL: Final = 0.5
CLIENTS: Final = 64
CONTIGUOUS: Final = "select count(*) = max(seq) and min(seq) = 1 from task_events where team_id = $1"


class Order(msgspec.Struct, frozen=True):
    """What a writing process reads from its standard input."""

    owner: UUID
    targets: list[Target]
    seconds: float


async def run(*, quick: bool) -> Result:
    """Each writer is a process with 64 clients; alone, one of them has both cores to itself with Postgres."""
    result = Result("two_processes", note="Each process has 64 clients in itself; both cores are open to everything.")
    seconds = 1.5 if quick else 4.0
    async with open_stack(core=None) as stack:
        async with open_system(stack) as system:
            order = msgspec.json.encode(Order(system.owner, await system.team(1), seconds))
        sides = {
            "one process": lambda: _writers(stack, order, 1),
            "two processes together": lambda: _writers(stack, order, 2),
        }
        found = await in_turn(2 if quick else 4, sides)
        team_id = msgspec.json.decode(order, type=Order).targets[0][0]
        if not await _contiguous(stack, team_id):
            raise RuntimeError("the team's journal has a hole: no rate makes up for that")
    share = found["two processes together"].rate / found["one process"].rate
    result.goals.append(Goal("two processes on one hot team: share of one alone", share, GOAL))
    result.numbers["one hot team"] = found
    return result


async def _writers(stack: Stack, order: bytes, count: int) -> Sample:
    samples = await asyncio.gather(*(_writer(stack, order) for _ in range(count)))
    return Sample(
        rate=sum(sample.rate for sample in samples),
        p50_ms=max(sample.p50_ms for sample in samples),
        p99_ms=max(sample.p99_ms for sample in samples),
    )


async def _writer(stack: Stack, order: bytes) -> Sample:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.two_processes",
        cwd=ROOT, env={**os.environ, **stack.environment},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, complaints = await process.communicate(order)
    if process.returncode != 0:
        raise RuntimeError(f"a writing process failed:\n{complaints.decode()[-3000:]}")
    return msgspec.json.decode(output, type=Sample)


async def _contiguous(stack: Stack, team_id: UUID) -> bool:
    connection = await asyncpg.connect(stack.superuser_url)
    try:
        return bool(await connection.fetchval(CONTIGUOUS, team_id))
    finally:
        await connection.close()


async def _write(order: Order) -> Sample:
    async with running(load(os.environ), API) as process:
        system = InProcess(process.services, order.owner)
        await process.teams.view(order.targets[0][0])
        tune_collector()  # As a worker does when it begins to serve.
        return await hammer(system.change, order.targets, clients=CLIENTS, seconds=order.seconds)


if __name__ == "__main__":
    schedule_in_batches()  # As the process of a worker does.
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(_write(order))))
