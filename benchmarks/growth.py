"""What growth costs: a team of 10,000 tasks against one of 100 over HTTP, a board of 5,000 cards against one of 500.

Over HTTP it is the list, the whole board (per byte, since it is a hundred times as long) and PATCH, each as it comes
and after a change or a read of the board. In Chromium it is the page as people have it.
"""

import itertools
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from benchmarks.account import Account
from benchmarks.board_page import BoardPage, open_page
from benchmarks.list_latency import Reader
from benchmarks.machine import LOAD_CORE, on_core
from benchmarks.measure import Goal, Result, Sample, in_turn, sample_of
from benchmarks.stack import Server, open_stack

__all__ = ["run"]

HTTP_GOAL: Final = 1.3
PAGE_GOAL: Final = 3.0
FEW, MANY = 100, 10_000
SHORT, LONG = 500, 5_000

Team = tuple[str, list[str]]


class Request(Struct, frozen=True):
    """What is measured, and what is done before each without being measured; `asked` per turn."""

    name: str
    measured: Callable[["Asker"], float]
    before: Callable[["Asker"], object]
    asked: int
    per_byte: bool = False


class Asker:
    """A client of one team. Its requests return seconds."""

    def __init__(self, reader: Reader, team: Team) -> None:
        self._reader = reader
        self.team_id, self._ids = team
        self._numbers = itertools.count()

    @property
    def received(self) -> int:
        return self._reader.received

    def list(self) -> float:
        return self._reader.latency(f"/v1/tasks?team_id={self.team_id}&limit=50")

    def board(self) -> float:
        return self._reader.latency(f"/v1/teams/{self.team_id}/board")

    def patch(self) -> float:
        number = next(self._numbers)
        body = json.dumps({"title": f"Change {number} at {time.time_ns()}"}).encode()
        return self._reader.patch_latency(f"/v1/tasks/{self._ids[number % len(self._ids)]}", self.team_id, body)

    def nothing(self) -> None:
        """What comes before a request that is measured as it comes."""


REQUESTS: Final = (
    Request("list, cached", Asker.list, Asker.nothing, 100),
    Request("list, after a change", Asker.list, Asker.patch, 100),
    Request("board, cached", Asker.board, Asker.nothing, 15, per_byte=True),
    Request("board, after a change", Asker.board, Asker.patch, 15, per_byte=True),
    Request("PATCH", Asker.patch, Asker.nothing, 100),
    Request("PATCH, after a list was read", Asker.patch, Asker.list, 100),
    Request("PATCH, after the board was read", Asker.patch, Asker.board, 15),
)


async def run(*, quick: bool) -> Result:
    """One client at a time; the server on core 0, the client, or the browser, on core 1."""
    result = Result("growth", note="Medians of one client's latencies. The board's are per byte of its answer.")
    async with open_stack() as stack:
        with stack.api() as api, Account(api.url) as account, on_core(LOAD_CORE):
            reader = Reader(api.url, account.headers)
            sides = {f"{size:,} tasks": Asker(reader, account.team(size, size)) for size in (FEW, MANY)}
            for request in REQUESTS:
                await _compare(result, api, request, sides, quick=quick)
            teams = [account.team(size + 1, size) for size in (SHORT, LONG)]
            async with open_page(api.url, account, teams[0][0]) as page:
                await _browse(result, page, teams, quick=quick)
    return result


async def _compare(result: Result, api: Server, request: Request, askers: dict[str, Asker], *, quick: bool) -> None:
    spent: dict[str, list[float]] = {side: [] for side in askers}
    lengths: dict[str, int] = {}

    async def measure(side: str, asker: Asker) -> Sample:
        latencies = []
        request.before(asker)
        request.measured(asker)
        used = api.processor_seconds()
        for _ in range(max(5, request.asked // 5) if quick else request.asked):
            request.before(asker)
            latencies.append(request.measured(asker))
            lengths[side] = asker.received
        spent[side].append((api.processor_seconds() - used) / len(latencies) * 1000)
        return sample_of(latencies, sum(latencies))

    found = await in_turn(2 if quick else 5, {side: partial(measure, side, asker) for side, asker in askers.items()})
    (few, small), (many, large) = found.items()
    times = large.p50_ms / small.p50_ms
    if request.per_byte:
        times *= lengths[few] / lengths[many]
    how = " per byte" if request.per_byte else ""
    result.goals.append(Goal(f"{request.name}: {many} over {few}{how}", times, HTTP_GOAL, at_least=False))
    result.numbers[request.name] = {
        **found,
        "bytes": lengths,
        "server's processor ms, with what comes before": {side: sorted(ms)[len(ms) // 2] for side, ms in spent.items()},
    }


async def _browse(result: Result, page: BoardPage, teams: Sequence[Team], *, quick: bool) -> None:
    """The page as it opens, and a drag on it; then a drag where every card has been scrolled to."""
    sides = {f"{len(ids):,} cards": team_id for team_id, ids in teams}

    async def opening(team_id: str) -> Sample:
        return sample_of(took := [await page.open(team_id) for _ in range(1 if quick else 3)], sum(took))

    async def dragging(team_id: str, *, whole: bool = False) -> Sample:
        await page.open(team_id)
        if whole:
            await page.load_all()
        return sample_of(took := [await page.drag() for _ in range(2 if quick else 6)], sum(took))

    async def dragging_among_all(team_id: str) -> Sample:
        return await dragging(team_id, whole=True)

    steps = {"opens": opening, "drags": dragging, "drags, every card loaded": dragging_among_all}
    for name, step in steps.items():
        turns = 2 if quick else 3 if step is dragging_among_all else 5
        found = await in_turn(turns, {side: partial(step, team_id) for side, team_id in sides.items()})
        (short, few), (long, many) = found.items()
        goal = Goal(f"page {name}: {long} over {short}", many.p50_ms / few.p50_ms, PAGE_GOAL, at_least=False)
        result.goals.append(goal)
        result.numbers[f"page {name}"] = found
