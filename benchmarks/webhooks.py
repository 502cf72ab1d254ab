"""What one endpoint that hangs does to the others of its team: from a change to its arrival, alone and beside it.

Everything is in this process and on this machine, the endpoints too. Each change is projected at once, as the consumer
does when the topic brings it; what the relay and the broker take is another measurement's.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import anyio

from benchmarks.in_process import InProcess, Target, open_system
from benchmarks.measure import Goal, Result, Sample, in_turn, sample_of
from benchmarks.stack import open_stack
from core.task import TaskPatch
from core.webhooks import Filter
from db.ids import new_id
from db.transaction import Writing, writing
from db.webhooks.claiming import Told
from db.webhooks.subscriptions import Wanted, change_subscription, create_subscription, hold_subscription
from streams.consumers.webhooks import catch_up, webhook_projection
from streams.webhooks.client import WebhookClient
from streams.webhooks.sender import WebhookSender
from streams.webhooks.urls import Rules

__all__ = ["run"]

TIMES: Final = 1.2
ENDPOINTS: Final = 5
RATE: Final = 25.0
"""Changes a second: so few that a core is never full, because what is measured is how long each waits."""
SECONDS_TO_ARRIVE: Final = 20.0


class Endpoints:
    """An HTTP server that answers at once, and at `/hang` never; it knows when each event first came to each path."""

    def __init__(self) -> None:
        self.port = 0
        self.arrived: dict[tuple[str, int], float] = {}
        self.hanging = 0
        self.news = asyncio.Event()

    async def have(self, wanted: Collection[tuple[str, int]]) -> None:
        """Come back once all of these paths have had these events."""
        while not all(one in self.arrived for one in wanted):
            self.news.clear()
            await self.news.wait()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Endpoints"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            if path == "/hang":
                self.hanging += 1
                await reader.read()
                while not reader.at_eof():
                    await reader.read(65_536)
                return
            seq = int(head.lower().split("taskforge-seq: ", 1)[1].split("\r\n", 1)[0])
            self.arrived.setdefault((path, seq), time.perf_counter())
            self.news.set()
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()


async def run(*, quick: bool) -> Result:
    """Alone and beside in turn; the median of the turns."""
    seconds, turns = (1.5, 1) if quick else (10.0, 5)
    result = Result("webhooks", note=f"{ENDPOINTS} endpoints that answer, {RATE:g} changes/s; beside one that hangs.")
    async with open_stack(core=None) as stack, open_system(stack) as system, Endpoints().serving() as endpoints:
        targets = await system.team(0)
        for number in range(ENDPOINTS):
            await _subscribe(system, targets[0][0], f"http://127.0.0.1:{endpoints.port}/{number}")
        hanging = await _subscribe(system, targets[0][0], f"http://127.0.0.1:{endpoints.port}/hang")

        async def side(*, hangs: bool) -> Sample:
            await _enable(system, hanging, enabled=hangs)
            async with _sending(system) as sender:
                return await _arrivals(system, sender, endpoints, targets, seconds)

        async def alone() -> Sample:
            return await side(hangs=False)

        async def beside() -> Sample:
            before = endpoints.hanging
            sample = await side(hangs=True)
            if endpoints.hanging == before:
                raise RuntimeError("nothing hung: the measurement says nothing")
            return sample

        found = await in_turn(turns, {"alone": alone, "beside": beside})
    times = found["beside"].p99_ms / found["alone"].p99_ms
    result.goals.append(Goal("p99 to arrive beside an endpoint that hangs, times alone", times, TIMES, at_least=False))
    result.numbers.update(found)
    return result


async def _subscribe(system: InProcess, team_id: UUID, url: str) -> UUID:
    hook_id = new_id()
    _, sealed = system.services.webhook_secrets.new(hook_id)
    wanted = Wanted(url=url, description="", event_types=(), filter=Filter(), format="cloudevents", in_order=False)
    async with writing(system.services.pools.api, system.owner) as tx:
        await create_subscription(tx, hook_id, team_id, system.owner, wanted, sealed, most=100)
    return hook_id


async def _enable(system: InProcess, hook_id: UUID, *, enabled: bool) -> None:
    async with writing(system.services.pools.api, system.owner) as tx:
        held = await hold_subscription(tx, hook_id)
        await change_subscription(tx, held, held, enabled=enabled)


@asynccontextmanager
async def _sending(system: InProcess) -> AsyncIterator[WebhookSender]:
    client = WebhookClient(Rules(loopback=True))
    sender = WebhookSender(system.services.pools.worker, client, system.services.webhook_secrets, _nobody)
    async with anyio.create_task_group() as group:
        await group.start(sender.run)
        try:
            yield sender
        finally:
            sender.stop()


async def _nobody(_: Writing, __: Told) -> None:
    """Nobody is told in a benchmark."""


async def _arrivals(
    system: InProcess, sender: WebhookSender, endpoints: Endpoints, targets: list[Target], seconds: float
) -> Sample:
    """Change titles at a steady pace; how long each change took to each endpoint that answers."""
    project = webhook_projection(system.services.pools.worker, sender.wake)
    began: dict[int, float] = {}
    start = time.perf_counter()
    for number in range(int(seconds * RATE)):
        await asyncio.sleep(max(0.0, start + number / RATE - time.perf_counter()))
        asked = time.perf_counter()
        done = await system.change(targets[number % len(targets)], TaskPatch(title=f"Change {time.time_ns()}"))
        began[done.seq] = asked
        await catch_up(system.services.pools.worker, project)
    wanted = [(f"/{path}", seq) for path in range(ENDPOINTS) for seq in began]
    with anyio.fail_after(SECONDS_TO_ARRIVE):
        await endpoints.have(wanted)
    return sample_of([endpoints.arrived[one] - began[one[1]] for one in wanted], time.perf_counter() - start)
