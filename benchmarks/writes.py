"""PATCH over HTTP at 64 clients, on one hot team and on 32, against one transaction per request on the same stack."""

from collections.abc import Sequence
from typing import Final

from benchmarks import load
from benchmarks.account import Account
from benchmarks.load import Load
from benchmarks.measure import Goal, Result, in_turn, middle
from benchmarks.stack import Server, open_stack

__all__ = ["CLIENTS", "TASKS", "TEAMS", "patches", "run"]

RATE_GOAL: Final = 8.0
TAIL_GOAL: Final = 5.0
CLIENTS: Final = 64
TEAMS: Final = 32
TASKS: Final = 64


async def run(*, quick: bool) -> Result:
    """API, baseline, Postgres and Valkey share the server's core; the load has the other one."""
    result = Result(
        "writes",
        note=(
            f"Load by {load.TOOL}, {CLIENTS} connections on core 1; API, baseline and Postgres on core 0. "
            "Every PATCH changes a title. fsync, full_page_writes and synchronous_commit are on."
        ),
    )
    async with open_stack() as stack:
        with stack.api() as api, stack.granian("benchmarks.baseline:app") as baseline, Account(api.url) as account:
            # The baseline goes around the actors: with teams of its own, neither has to catch up with the other.
            mine = [account.team(number, TASKS) for number in range(TEAMS)]
            theirs = [account.team(number, TASKS) for number in range(TEAMS, 2 * TEAMS)]
            for name, count in (("one hot team", 1), ("32 teams", TEAMS)):
                ours = patches(api, account, mine[:count], quick=quick)
                other = patches(baseline, account, theirs[:count], quick=quick)
                await _compare(result, name, ours, other, rounds=2 if quick else 5)
    return result


def patches(server: Server, account: Account, teams: Sequence[tuple[str, list[str]]], *, quick: bool) -> Load:
    """Team after team in turn, so that 64 connections meet all of them at any time."""
    targets = [(team_id, ids[index]) for index in range(TASKS) for team_id, ids in teams]
    return Load(server.url, headers=account.headers, clients=CLIENTS, seconds=1.0 if quick else 4.0, targets=targets)


async def _compare(result: Result, name: str, mine: Load, other: Load, rounds: int) -> None:
    ours, theirs = await in_turn(rounds, lambda: load.run(mine), lambda: load.run(other))
    us, them = middle(ours), middle(theirs)
    result.goals.append(Goal(f"PATCH, {name}: times one transaction per request", us.rate / them.rate, RATE_GOAL))
    result.goals.append(Goal(f"PATCH, {name}: p99 over our median", us.p99_ms / us.p50_ms, TAIL_GOAL, at_least=False))
    result.numbers[name] = {"ours": us, "one transaction each": them}
