"""The commit path alone: prepared batches to `PostgresJournal.commit`, beside one transaction per change.

Run: `python -m benchmarks.commit_path OWNER_URL` on an empty database (the roles' passwords are set by this script).
"""

import argparse
import asyncio
import json
import secrets
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils.compat as uu

from core.codec import encode_all
from core.commands import Asking, CreateTask, CreateTeam, UpdateTask
from core.decide import decide
from core.secret import Secret
from core.task import TaskFields, TaskPatch
from core.team import TeamState, evolve
from core.writes import Committed, TeamWrites
from db.journal import PostgresJournal
from db.migrate import migrate
from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from db.transaction import writing

TASKS = 64


class BenchTeam:
    """One team's writer without the actor around it: decides, encodes, evolves."""

    def __init__(self, owner: UUID) -> None:
        self.owner, self.state, self.tasks = owner, TeamState(), list[UUID]()

    def asking(self) -> Asking:
        return Asking(self.owner, datetime.now(UTC), uu.uuid7)

    def decided(self, commands: Sequence[object]) -> TeamWrites:
        """The writes of a batch, already applied to this state."""
        expected, events, changed = self.state.seq, [], {}
        for command in commands:
            for event in decide(self.state, command, self.asking()):  # type: ignore[arg-type]
                evolve(self.state, event)
                events.append(event)
                if hasattr(event, "task"):
                    changed[event.task.id] = event.task
        self.state.settle()
        return TeamWrites(events[0].team_id, expected, tuple(encode_all(events)), tuple(changed.values()), (), ())

    def updates(self, count: int, text: str) -> TeamWrites:
        return self.decided([UpdateTask(task_id, TaskPatch(title=text)) for task_id in self.tasks[:count]])


async def seeded(journal: PostgresJournal, owner: UUID, tasks: int) -> BenchTeam:
    """A committed team with some tasks."""
    team = BenchTeam(owner)
    first = team.decided([CreateTeam(uu.uuid7(), "Bench", "BEN", "Owner")])
    fields = TaskFields(title="A task to be changed", description="Some words of description. " * 8)
    second = team.decided([CreateTask(fields) for _ in range(tasks)])
    for writes in (first, second):
        outcome = (await journal.commit([writes]))[writes.team_id]
        assert outcome == Committed(), outcome
    team.tasks = [task.id for task in team.state.tasks.values()]
    return team


async def grouped(journal: PostgresJournal, teams: list[BenchTeam], each: int, seconds: float) -> dict[str, float]:
    """Commits of `each` one-event updates of every team, one after another; decided outside the measured time."""
    spent, changes, latencies, turn = 0.0, 0, list[float](), 0
    while spent < seconds:
        turn += 1
        batches = [team.updates(each, f"Title number {turn}") for team in teams]
        started = time.perf_counter()
        outcomes = await journal.commit(batches)
        took = time.perf_counter() - started
        assert all(outcome == Committed() for outcome in outcomes.values())
        spent, changes = spent + took, changes + each * len(teams)
        latencies.append(took * 1000)
    return figures(changes / spent, latencies)


async def one_by_one(pools: Pools, teams: list[BenchTeam], clients: int, seconds: float) -> dict[str, float]:
    """What a handler without group commit does: lock the team, write the row and the journal row, commit."""
    end, latencies, count = time.perf_counter() + seconds, list[float](), 0

    async def client(number: int) -> None:
        nonlocal count
        team = teams[number % len(teams)]
        task = team.state.tasks.get(team.tasks[number % len(team.tasks)])
        assert task is not None
        row = encode_all(decide(team.state, UpdateTask(task.id, TaskPatch(title=f"Client {number}")), team.asking()))[0]
        while (started := time.perf_counter()) < end:
            async with writing(pools.writer) as rows:
                seq = await rows.fetchval("update teams set seq = seq + 1 where id = $1 returning seq", task.team_id)
                await rows.execute(
                    "update tasks set title = $3, updated_at = $4, version = $5 where team_id = $1 and id = $2",
                    task.team_id, task.id, f"Title {seq}", row.row.at, seq,
                )  # fmt: skip
                await rows.execute(
                    "insert into task_events (team_id, seq, type, subject_id, actor_id, payload, at)"
                    " values ($1, $2, $3, $4, $5, $6, $7)",
                    task.team_id, seq, row.row.type, task.id, row.row.actor_id, row.row.payload, row.row.at,
                )  # fmt: skip
            latencies.append((time.perf_counter() - started) * 1000)
            count += 1

    await asyncio.gather(*(client(number) for number in range(clients)))
    return figures(count / seconds, latencies)


def figures(rate: float, latencies: list[float]) -> dict[str, float]:
    """Changes per second, and milliseconds per commit."""
    ordered = sorted(latencies)
    return {
        "changes_per_second": round(rate),
        "median_ms": round(statistics.median(ordered), 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 2),
    }


async def run(owner_url: str, seconds: float) -> dict[str, dict[str, float]]:
    """All measurements in one run."""
    passwords = {role: secrets.token_urlsafe(16) for role in ("api", "writer", "worker")}
    await migrate(owner_url, passwords={f"taskforge_{role}": word for role, word in passwords.items()})
    host = owner_url.rpartition("@")[2]
    urls = {f"{role}_url": Secret(f"postgresql://taskforge_{role}:{word}@{host}") for role, word in passwords.items()}
    settings = DatabaseSettings(owner_url=Secret(owner_url), pool_size=64, **urls)
    async with open_pools(settings) as pools:
        journal, owner, now = PostgresJournal(pools), uu.uuid7(), datetime.now(UTC)
        async with writing(pools.api, owner) as rows:
            await rows.execute(
                "insert into users (id, email, name, created_at, updated_at) values ($1, $2, 'Bench', $3, $3)",
                owner, f"{owner}@example.org", now,
            )  # fmt: skip
        teams = [await seeded(journal, owner, TASKS) for _ in range(32)]
        single = [await seeded(journal, owner, TASKS) for _ in range(32)]
        return {
            "group, one team x 64": await grouped(journal, teams[:1], 64, seconds),
            "group, 32 teams x 2": await grouped(journal, teams, 2, seconds),
            "group, one team x 1": await grouped(journal, teams[:1], 1, seconds),
            "one transaction each, one team, 64 clients": await one_by_one(pools, single[:1], 64, seconds),
            "one transaction each, 32 teams, 64 clients": await one_by_one(pools, single, 64, seconds),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("owner_url")
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(run(arguments.owner_url, arguments.seconds)), indent=2))


if __name__ == "__main__":
    main()
