"""PATCH over HTTP at 64 clients, on one hot team and on 32, against one transaction per request on the same stack.

On 32 teams also against the floor: what a PATCH costs before anything is decided (`floor.py`).
"""

from collections.abc import Sequence
from typing import Final

from benchmarks import load
from benchmarks.account import Account
from benchmarks.load import Load
from benchmarks.measure import Goal, Measuring, Result, Sample, in_turn
from benchmarks.stack import Server, open_stack

__all__ = ["run"]

HOT_GOAL: Final = 8.0
SPREAD_GOAL: Final = 4.0
FLOOR_GOAL: Final = 0.5
TAIL_GOAL: Final = 5.0
CLIENTS: Final = 64
TEAMS: Final = 32
TASKS: Final = 64
RIVAL: Final = "one transaction each"
FLOOR: Final = "the floor"

Team = tuple[str, list[str]]


async def run(*, quick: bool) -> Result:
    """API, baseline, floor, Postgres and Valkey share the server's core; the load has the other one."""
    result = Result(
        "writes",
        note=(
            f"Load by {load.TOOL}, {CLIENTS} connections on core 1; all servers and Postgres on core 0. "
            "Every PATCH changes a title. fsync, full_page_writes and synchronous_commit are on."
        ),
    )
    turns = 2 if quick else 5
    async with open_stack() as stack:
        with stack.api() as api, stack.granian("benchmarks.baseline:app") as baseline, Account(api.url) as account:
            # The baseline goes around the actors: with teams of its own, neither has to catch up with the other.
            mine = [account.team(number, TASKS) for number in range(TEAMS)]
            theirs = [account.team(number, TASKS) for number in range(TEAMS, 2 * TEAMS)]

            def patching(server: Server, teams: Sequence[Team]) -> Measuring:
                job = _patches(server, account, teams, quick=quick)
                return lambda: load.run(job)

            hot = {"ours": patching(api, mine[:1]), RIVAL: patching(baseline, theirs[:1])}
            _judge(result, "one hot team", await in_turn(turns, hot), HOT_GOAL)
            with stack.granian("benchmarks.floor:app") as floor:
                sides = {"ours": patching(api, mine), RIVAL: patching(baseline, theirs), FLOOR: patching(floor, mine)}
                _judge(result, "32 teams", await in_turn(turns, sides), SPREAD_GOAL)
    return result


def _patches(server: Server, account: Account, teams: Sequence[Team], *, quick: bool) -> Load:
    """Team after team in turn, so that 64 connections meet all of them at any time."""
    targets = [(team_id, ids[index]) for index in range(TASKS) for team_id, ids in teams]
    return Load(server.url, headers=account.headers, clients=CLIENTS, seconds=1.0 if quick else 4.0, targets=targets)


def _judge(result: Result, name: str, found: dict[str, Sample], goal: float) -> None:
    us = found["ours"]
    result.goals.append(Goal(f"PATCH, {name}: times one transaction per request", us.rate / found[RIVAL].rate, goal))
    if FLOOR in found:
        result.goals.append(Goal(f"PATCH, {name}: share of the floor", us.rate / found[FLOOR].rate, FLOOR_GOAL))
    result.goals.append(Goal(f"PATCH, {name}: p99 over our median", us.p99_ms / us.p50_ms, TAIL_GOAL, at_least=False))
    result.numbers[name] = found
