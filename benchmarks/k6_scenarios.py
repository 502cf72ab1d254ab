"""k6 with thresholds: lists cached and uncached, a mixed load, followers of a feed. A crossed one is a missed goal."""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.account import Account
from benchmarks.load import run_k6
from benchmarks.measure import Goal, Result
from benchmarks.stack import Server, open_stack

__all__ = ["run"]

SCRIPTS: Final = Path(__file__).parent / "k6"
TASKS: Final = 500
FOLLOWERS: Final = 100
# (script, the metric whose p95 is promised in ms, the bound; the script has the same as its threshold)
PROMISES: Final = (
    ("lists", "list_cached", 10.0),
    ("lists", "list_uncached", 25.0),
    ("mixed", "mixed_reads", 25.0),
    ("mixed", "mixed_writes", 50.0),
    ("feed", "feed_age", 250.0),
)


async def run(*, quick: bool) -> Result:
    """Steady rates far below what the server can do: this is about latency, the other scenarios are about rates."""
    result = Result("k6_scenarios", note="Lists at 300/s, the mix at 800/s, 100 followers of 10 changes per second.")
    async with open_stack() as stack:
        with stack.api() as api, Account(api.url) as account:
            team = account.team(1, TASKS)
            summaries = {name: await _run(name, api, account, team, quick=quick) for name in ("lists", "mixed", "feed")}
    for name, metric, bound in PROMISES:
        p95 = float(summaries[name]["metrics"][metric]["values"]["p(95)"])
        result.goals.append(Goal(f"k6 {metric}: p95 in ms", p95, bound, at_least=False))
    for name, summary in summaries.items():
        crossed = sum(not verdict["ok"] for metric in summary["metrics"].values() for verdict in _verdicts(metric))
        result.goals.append(Goal(f"k6 {name}: share of thresholds kept", _kept(summary, crossed), 1.0))
        result.numbers[name] = {key: metric["values"] for key, metric in summary["metrics"].items()}
    return result


async def _run(name: str, api: Server, account: Account, team: tuple[str, list[str]], *, quick: bool) -> dict[str, Any]:
    team_id, task_ids = team
    environment = {
        "BASE": api.url,
        "TEAM": team_id,
        "TASKS": json.dumps(task_ids),
        "HEADERS": json.dumps({**account.headers, "TaskForge-Team": team_id}),
        "FOLLOWERS": str(FOLLOWERS),
        "SECONDS": "3" if quick else "15",
    }
    with tempfile.TemporaryDirectory(prefix="taskforge-k6-") as directory:
        summary, _ = await run_k6(SCRIPTS / f"{name}.js", environment, Path(directory))
        return summary


def _verdicts(metric: dict[str, Any]) -> list[dict[str, bool]]:
    return list(metric.get("thresholds", {}).values())


def _kept(summary: dict[str, Any], crossed: int) -> float:
    total = sum(len(_verdicts(metric)) for metric in summary["metrics"].values())
    return (total - crossed) / total
