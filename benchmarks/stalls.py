"""How long the event loop of an API process is held in one go, with 500 teams of 1,000 tasks in memory.

Every request waits meanwhile. Under changes, searches, both, nothing but its own sweeps, a cold start of all
teams, and a memory budget that lets teams go all the time.
"""

import asyncio
import http.client
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from benchmarks import load
from benchmarks.account import Account
from benchmarks.load import Load
from benchmarks.machine import LOAD_CORE, on_core
from benchmarks.measure import Goal, Result, UnexpectedAnswers
from benchmarks.stack import Server, Stack, open_stack
from benchmarks.watched import PATH, Stalls

__all__ = ["run"]

GOAL_MS: Final = 20.0
TASKS: Final = 1_000
AT_ONCE: Final = 16
PATCHING: Final = 64
ROOMY: Final = str(4 * 2**30)
TIGHT: Final = str(64 * 2**20)
WORDS: Final = ("failover", "re-registrations", "nowhere to be found", "EXECUTORS", "Keep a list")
SORTS: Final = ("rank", "-priority", "due_at", "-updated_at")


async def run(*, quick: bool) -> Result:
    """Server and Postgres on core 0, the load on core 1."""
    teams_wanted, seconds = (40, 3.0) if quick else (500, 12.0)
    result = Result("stalls", note=f"{teams_wanted} teams of {TASKS} tasks; the thread's own time between two ticks.")
    async with open_stack() as stack:
        with _serve(stack, ROOMY) as api, Account(api.url) as account, on_core(LOAD_CORE):
            teams = [await asyncio.to_thread(account.team, number, TASKS) for number in range(teams_wanted)]
            _note(result, "filling", api)
            targets = [(team_id, task_ids[step]) for step in range(20) for team_id, task_ids in teams]
            changes = Load(api.url, headers=account.headers, clients=PATCHING, seconds=seconds, targets=targets)
            ids = [team_id for team_id, _ in teams]
            searches = partial(_search, ids)
            await _changing(changes)
            _note(result, "changes", api)
            await _reading(api, account.headers, searches, seconds)
            _note(result, "searches and sorted lists", api)
            await asyncio.gather(_changing(changes), _reading(api, account.headers, searches, seconds))
            _note(result, "changes and searches", api)
            await asyncio.sleep(seconds)
            _note(result, "nothing but sweeps", api)
            headers = account.headers
        for name, budget in (("all teams from cold", ROOMY), ("teams that are let go all the time", TIGHT)):
            with _serve(stack, budget) as api, on_core(LOAD_CORE):
                await _reading(api, headers, partial(_plain, ids), seconds)
                _note(result, name, api)
    return result


@contextmanager
def _serve(stack: Stack, budget: str) -> Iterator[Server]:
    with stack.granian("benchmarks.watched:app", TASKFORGE_ACTORS__MEMORY_BUDGET_BYTES=budget) as api:
        _stalls(api)  # Its start, when nobody waits for it yet, is not counted.
        yield api


def _stalls(api: Server) -> Stalls:
    """Those since the last call."""
    answer = httpx.get(api.url + PATH, timeout=30)
    return msgspec.json.decode(answer.raise_for_status().content, type=Stalls)


def _note(result: Result, name: str, api: Server) -> None:
    stalls = _stalls(api)
    result.goals.append(Goal(f"{name}: loop held, ms", stalls.busy_ms, GOAL_MS, at_least=False))
    result.numbers[name] = stalls


async def _changing(changes: Load) -> None:
    sample = await load.run(changes)
    if sample.errors:
        raise UnexpectedAnswers("changes", 1, sample)


def _search(ids: Sequence[str], number: int) -> str:
    """A page that no cache has: of a word and a length of its own, or in another order."""
    page = f"/v1/tasks?team_id={ids[number % len(ids)]}&limit={1 + number % 100}"
    if number % 4:
        return f"{page}&q={quote(WORDS[number % len(WORDS)])}"
    return f"{page}&sort={SORTS[number // 4 % len(SORTS)]}"


def _plain(ids: Sequence[str], number: int) -> str:
    return f"/v1/tasks?team_id={ids[number % len(ids)]}&limit=50"


async def _reading(api: Server, headers: dict[str, str], path_of: Callable[[int], str], seconds: float) -> None:
    """Ask for the paths over several connections. Raises RuntimeError for an answer that is not 200."""
    end = time.perf_counter() + seconds
    numbers = itertools.count()

    def reader() -> None:
        connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=30)
        while time.perf_counter() < end:
            path = path_of(next(numbers))
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status} {body[:300]!r}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(asyncio.to_thread(reader))
