"""What a team of 50,000 tasks does to others: PATCH of 32 small teams alone, and while the large one is busy.

Busy means all of it at once, again and again: the large team enters memory (a memory budget makes it leave after each
round), its board is read whole and by its top, its lists are sorted, it is written, and three feeds replay its journal.
"""

import asyncio
import contextlib
import http.client
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from benchmarks import load
from benchmarks.account import Account
from benchmarks.load import Load
from benchmarks.machine import LOAD_CORE, on_core
from benchmarks.measure import Goal, Result, Sample, UnexpectedAnswers, percentile
from benchmarks.stack import Server, open_stack
from benchmarks.watched import PATH, Stalls

__all__ = ["run"]

TIMES: Final = 2.0
TOP_MS: Final = 20.0
TASKS: Final = 50_000
SMALL_TEAMS: Final = 32
SMALL_TASKS: Final = 20
CLIENTS: Final = 4
"""So few that neither core is saturated: what is measured is how long a change waits, not how many there can be."""
FEEDS: Final = 3
TOPS: Final = 50
QUIET_SECONDS: Final = 2.0
TIGHT: Final = str(64 * 2**20)
"""Less than the large team weighs: it leaves memory at each sweep that finds it idle."""


async def run(*, quick: bool) -> Result:
    """Server and Postgres on core 0, the load on core 1; alone and beside in turn, the median of three rounds."""
    tasks, seconds, rounds = (2_000, 2.0, 1) if quick else (TASKS, 8.0, 3)
    result = Result("neighbour", note=f"A team of {tasks} tasks beside {SMALL_TEAMS} of {SMALL_TASKS}.")
    async with open_stack() as stack:
        with (
            stack.granian("benchmarks.watched:app", TASKFORGE_ACTORS__MEMORY_BUDGET_BYTES=TIGHT) as api,
            Account(api.url) as account,
            on_core(LOAD_CORE),
        ):
            large, ids = await asyncio.to_thread(account.team, 0, tasks)
            small = [await asyncio.to_thread(account.team, 1 + n, SMALL_TASKS) for n in range(SMALL_TEAMS)]
            targets = [(team_id, task_ids[step]) for step in range(SMALL_TASKS) for team_id, task_ids in small]
            changes = Load(api.url, headers=account.headers, clients=CLIENTS, seconds=seconds, targets=targets)
            ratios = []
            for turn in range(rounds):
                alone = await _changing("alone", turn, changes)
                await asyncio.to_thread(_stalls, api)  # What held the loop until here is not counted.
                async with _busy(api, account, large, ids[0]) as done:
                    beside = await _changing("beside", turn, changes)
                held = await asyncio.to_thread(_stalls, api)
                ratios.append(beside.p99_ms / alone.p99_ms)
                result.numbers[f"turn {turn + 1}"] = {
                    "alone": alone,
                    "beside": beside,
                    "done beside": dict(done),
                    "loop held": held,
                }
            name = "p99 beside the large team, times alone"
            result.goals.append(Goal(name, sorted(ratios)[len(ratios) // 2], TIMES, at_least=False))
            top = await asyncio.to_thread(_top, account, large, ids)
            result.goals.append(Goal("top of the board after a write, p50 ms", top, TOP_MS, at_least=False))
    return result


def _stalls(api: Server) -> Stalls:
    """Those since the last call."""
    answer = httpx.get(api.url + PATH, timeout=30)
    return msgspec.json.decode(answer.raise_for_status().content, type=Stalls)


async def _changing(side: str, turn: int, changes: Load) -> Sample:
    sample = await load.run(changes)
    if sample.errors:
        raise UnexpectedAnswers(side, turn + 1, sample)
    return sample


@asynccontextmanager
async def _busy(api: Server, account: Account, team_id: str, task_id: str) -> AsyncIterator[dict[str, int]]:
    """Keep the large team busy; how often each thing was done."""
    done: dict[str, int] = {}
    ends = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(_use, account, team_id, task_id, ends, done))
        for _ in range(FEEDS):
            group.create_task(asyncio.to_thread(_replay, api, account.headers, team_id, ends, done))
        try:
            yield done
        finally:
            ends.set()


def _stand_back() -> None:
    """The load that is measured has its core before the threads that keep the large team busy (Linux)."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _use(account: Account, team_id: str, task_id: str, ends: asyncio.Event, done: dict[str, int]) -> None:
    """Change and read the large team; a read that comes too early for its activation is a 503, and tried again."""
    reads = {
        "board": f"/v1/teams/{team_id}/board",
        "top": f"/v1/teams/{team_id}/board?per_column={TOPS}",
        "by title": f"/v1/tasks?team_id={team_id}&sort=title",
        "by rank": f"/v1/tasks?team_id={team_id}&sort=rank",
    }
    _stand_back()
    number = 0
    while not ends.is_set():
        number += 1
        with contextlib.suppress(RuntimeError):
            account.rename(team_id, task_id, f"Change {number} at {time.time_ns()}")
        for name, path in reads.items():
            if ends.is_set():
                return
            answer = account.get(path)
            if answer.status_code not in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
                raise RuntimeError(f"{path} answered {answer.status_code} {answer.text[:300]}")
            key = name if answer.status_code == httpx.codes.OK else "not in time"
            done[key] = done.get(key, 0) + 1


def _replay(api: Server, headers: dict[str, str], team_id: str, ends: asyncio.Event, done: dict[str, int]) -> None:
    """Read the team's feed from its beginning to its end, where nothing comes for a moment; again and again."""
    _stand_back()
    while not ends.is_set():
        connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=QUIET_SECONDS)
        path = f"/v1/teams/{team_id}/events?after=0"
        with contextlib.closing(connection), contextlib.suppress(TimeoutError):
            connection.request("GET", path, headers={**headers, "Accept": "text/event-stream"})
            answer = connection.getresponse()
            while not ends.is_set() and (part := answer.read1(65_536)):
                done["events"] = done.get("events", 0) + part.count(b"\ndata: ")


def _top(account: Account, team_id: str, ids: list[str]) -> float:
    """Median ms of the board's top, each time after a write."""
    took = []
    for number, task_id in enumerate(ids[:40]):
        account.rename(team_id, task_id, f"Before reading {number}")
        begun = time.perf_counter()
        answer = account.get(f"/v1/teams/{team_id}/board?per_column={TOPS}")
        took.append((time.perf_counter() - begun) * 1000)
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"the top of the board answered {answer.status_code} {answer.text[:300]}")
    return percentile(took, 0.5)
