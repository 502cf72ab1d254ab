"""The latency of a list in a team of 10,000 tasks against one of 100: cached, and right after every change."""

import http.client
import itertools
import time
from typing import Final
from urllib.parse import urlsplit

from benchmarks.account import Account
from benchmarks.machine import LOAD_CORE, on_core
from benchmarks.measure import Goal, Result, Sample, in_turn, sample_of
from benchmarks.stack import open_stack

__all__ = ["Reader", "run"]

GOAL: Final = 1.3
SMALL, LARGE = 100, 10_000
LISTS: Final = {
    "plain": "",
    "by status": "&status=open,in_progress",
    "by rank": "&sort=rank",
    "by priority": "&sort=-priority",
    "by due date": "&sort=due_at",
}


class Reader:
    """One connection that asks and waits, as a person's client does. `received` is the length of the last body."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self._headers = headers
        self.received = 0

    def latency(self, path: str) -> float:
        """Seconds until the whole answer to a GET is here. Raises RuntimeError for anything but 200."""
        return self._latency("GET", path, None, self._headers)

    def patch_latency(self, path: str, team_id: str, body: bytes) -> float:
        """The same for a PATCH that says which team the task is of, as our pages do."""
        more = {"Content-Type": "application/json", "TaskForge-Team": team_id}
        return self._latency("PATCH", path, body, {**self._headers, **more})

    def _latency(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> float:
        started = time.perf_counter()
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        self.received = len(answer.read())
        took = time.perf_counter() - started
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} answered {answer.status}")
        return took


async def run(*, quick: bool) -> Result:
    """One client; the server on core 0, the client on core 1."""
    result = Result("list_latency", note="Medians of one client's latencies; 50 tasks per answer of equal size.")
    async with open_stack() as stack:
        with stack.api() as api, Account(api.url) as account, on_core(LOAD_CORE):
            small, large = account.team(1, SMALL), account.team(2, LARGE)
            reader = Reader(api.url, account.headers)
            for name, query in LISTS.items():
                for fresh in (False, True):
                    await _compare(result, account, reader, (small, large), name, query, fresh=fresh, quick=quick)
    return result


async def _compare(
    result: Result,
    account: Account,
    reader: Reader,
    teams: tuple[tuple[str, list[str]], tuple[str, list[str]]],
    name: str,
    query: str,
    *,
    fresh: bool,
    quick: bool,
) -> None:
    numbers = itertools.count()

    def sample(team: tuple[str, list[str]]) -> Sample:
        team_id, task_ids = team
        path = f"/v1/tasks?team_id={team_id}&limit=50{query}"
        latencies = []
        reader.latency(path)
        for _ in range(50 if quick else 300):
            if fresh:
                number = next(numbers)
                account.rename(team_id, task_ids[number % len(task_ids)], f"Change {number}, {name} {time.time_ns()}")
            latencies.append(reader.latency(path))
        return sample_of(latencies, sum(latencies))

    async def of(team: tuple[str, list[str]]) -> Sample:
        return sample(team)

    sides = {"100 tasks": lambda: of(teams[0]), "10,000 tasks": lambda: of(teams[1])}
    found = await in_turn(2 if quick else 5, sides)
    how = "after a change" if fresh else "cached"
    times = found["10,000 tasks"].p50_ms / found["100 tasks"].p50_ms
    goal = Goal(f"list {name}, {how}: 10,000 tasks over 100", times, GOAL, at_least=False)
    result.goals.append(goal)
    result.numbers[f"{name}, {how}"] = found
