"""Authenticated cached list of 50 tasks, and its 304, against a bare Granian application that sends the same bytes."""

from functools import partial
from pathlib import Path
from typing import Final

import httpx
import msgspec

from benchmarks import load
from benchmarks.account import Account
from benchmarks.bare import Recorded
from benchmarks.load import Load
from benchmarks.measure import Goal, Result, in_turn
from benchmarks.stack import Stack, open_stack

__all__ = ["run"]

LIST_GOAL: Final = 0.6
NOT_MODIFIED_GOAL: Final = 0.6
CLIENTS: Final = 32
# The server writes these itself, for both.
ADDED_BY_GRANIAN: Final = frozenset({"server", "date", "connection", "transfer-encoding"})


async def run(*, quick: bool) -> Result:
    """Both servers run at the same time on the server's core; only one of them has work at any time."""
    result = Result("reads", note=f"Load by {load.TOOL}, {CLIENTS} connections; servers on core 0, load on core 1.")
    async with open_stack() as stack:
        with stack.api() as api, Account(api.url) as account:
            team_id, _ = account.team(1, 200)
            path = f"/v1/tasks?team_id={team_id}&limit=50"
            headers = {**account.headers, "TaskForge-Team": team_id}
            full = account.get(path, headers)
            await _compare(result, stack, (api.url, path), headers, full, "list of 50", LIST_GOAL, quick=quick)
            conditional = {**headers, "If-None-Match": full.headers["etag"]}
            same = account.get(path, conditional)
            await _compare(result, stack, (api.url, path), conditional, same, "304", NOT_MODIFIED_GOAL, quick=quick)
    return result


async def _compare(
    result: Result,
    stack: Stack,
    address: tuple[str, str],
    headers: dict[str, str],
    answer: httpx.Response,
    name: str,
    goal: float,
    *,
    quick: bool,
) -> None:
    expected = 304 if name == "304" else 200
    if answer.status_code != expected:
        raise RuntimeError(f"{address[1]} answered {answer.status_code}, not {expected}")
    recording = _record(answer, stack.directory / f"{expected}.answer")
    with stack.granian("benchmarks.bare:app", TASKFORGE_BENCH_ANSWER=str(recording)) as bare:
        seconds = 1.0 if quick else 4.0
        job = partial(Load, headers=headers, clients=CLIENTS, seconds=seconds, expected=expected)
        sides = {"ours": lambda: load.run(job(*address)), "bare": lambda: load.run(job(bare.url))}
        found = await in_turn(2 if quick else 5, sides)
    share = found["ours"].rate / found["bare"].rate
    result.goals.append(Goal(f"{name}: share of the bare server's rate", share, goal))
    result.numbers[name] = {**found, "body_bytes": len(answer.content)}


def _record(answer: httpx.Response, path: Path) -> Path:
    headers = [
        (name.encode(), value.encode()) for name, value in answer.headers.items() if name not in ADDED_BY_GRANIAN
    ]
    path.write_bytes(msgspec.msgpack.encode(Recorded(answer.status_code, headers, answer.content)))
    return path
