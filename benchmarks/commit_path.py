"""The commit path alone, 64 clients in one process: the actors' group commit against one transaction per request."""

import itertools
from functools import partial
from typing import Final

from benchmarks.baseline import OneTransactionEach
from benchmarks.in_process import Target, hammer, open_system
from benchmarks.measure import Goal, Result, Sample, in_turn
from benchmarks.stack import open_stack
from core.task import TaskPatch

__all__ = ["run"]

GOALS: Final = {"one hot team": 25.0, "32 teams": 7.0}
CLIENTS: Final = 64
RIVAL: Final = "one transaction each"
CROWD: Final = 256
"""More clients than the goals ask for: shows how the group commit grows with its batches."""
TEAMS: Final = 32


async def run(*, quick: bool) -> Result:
    """Nothing is pinned: the process and Postgres have both cores, for us and for the baseline."""
    result = Result(
        "commit_path",
        note=f"{CLIENTS} clients in the process that commits; fsync, full_page_writes and synchronous_commit are on.",
    )
    # The baseline goes around the actors, so each has teams of its own: an actor must not find foreign events.
    async with open_stack(core=None) as stack, open_system(stack) as system:
        teams = [await system.team(number) for number in range(2 * TEAMS)]
        baseline = OneTransactionEach(system.services.pools.writer)

        async def transaction(target: Target, patch: TaskPatch) -> object:
            return await baseline.patch(*target, patch, system.owner)

        for name, goal in GOALS.items():
            count = 1 if name == "one hot team" else TEAMS
            mine = list(itertools.chain.from_iterable(zip(*teams[:count], strict=True)))
            theirs = list(itertools.chain.from_iterable(zip(*teams[TEAMS : TEAMS + count], strict=True)))

            async def ours(targets: list[Target] = mine, clients: int = CLIENTS) -> Sample:
                return await hammer(system.change, targets, clients=clients, seconds=1.0 if quick else 3.0)

            async def one_each(targets: list[Target] = theirs, clients: int = CLIENTS) -> Sample:
                return await hammer(transaction, targets, clients=clients, seconds=1.0 if quick else 3.0)

            found = await in_turn(2 if quick else 5, {"ours": ours, RIVAL: one_each})
            times = found["ours"].rate / found[RIVAL].rate
            result.goals.append(Goal(f"commit path, {name}: times one transaction per request", times, goal))
            result.numbers[name] = found
            crowd = {"ours": partial(ours, clients=CROWD), RIVAL: partial(one_each, clients=CROWD)}
            result.numbers[f"{name}, {CROWD} clients"] = await in_turn(2, crowd)
    return result
