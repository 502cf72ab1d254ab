"""`python -m benchmarks [--quick] [names…]`: run scenarios in order, keep their numbers, say which goals are met.

Exit codes: 0 all goals met (or `--quick`, whose numbers are too short to judge by), 1 some missed, 2 no such scenario.
"""

import argparse
import asyncio
import datetime
import importlib
import os
import sys
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.load import TOOL
from benchmarks.machine import ROOT, Machine, describe
from benchmarks.measure import Result
from benchmarks.plot import draw

SCENARIOS: Final = (
    "reads", "writes", "commit_path", "fanout", "list_latency", "growth", "two_processes", "stalls", "neighbour",
    "foreign_ids", "webhooks", "k6_scenarios", "relay", "reports"
)  # fmt: skip
RESULTS: Final = ROOT / "benchmarks" / "results"


class Report(Struct):
    """What a results file holds."""

    at: str
    quick: bool
    load_tool: str
    machine: Machine
    results: list[Result]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="short rounds: proves that it runs, not how fast")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where the files go")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    console = Console()
    # The loop that the product runs on, for what is measured inside this process.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(_measure(args.names or list(SCENARIOS), console, quick=args.quick))
    _keep(report, args.out, console)
    missed = [goal for result in report.results for goal in result.goals if not goal.met]
    return 1 if missed and not args.quick else 0


async def _measure(names: list[str], console: Console, *, quick: bool) -> Report:
    report = Report(datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), quick, TOOL, describe(), [])
    if (os.cpu_count() or 1) < 2:
        console.print("One core only: server and load share it, and the ratios say little.", style="yellow")
    for name in names:
        console.print(f"{name} …")
        result: Result = await importlib.import_module(f"benchmarks.{name}").run(quick=quick)
        report.results.append(result)
        console.print(_table(result))
    return report


def _table(result: Result) -> Table:
    table = Table("goal", "measured", "bound", "met", title=result.scenario, title_justify="left", box=None)
    for goal in result.goals:
        sign = "≥" if goal.at_least else "≤"
        verdict = "[green]yes[/]" if goal.met else "[red]no[/]"
        table.add_row(goal.name, f"{goal.measured:.2f}", f"{sign} {goal.bound:g}", verdict)
    return table


def _keep(report: Report, folder: Path, console: Console) -> None:
    """One JSON and one picture per commit and day; a later run of the same replaces them."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = "-quick" if report.quick else ""
    stem = folder / f"{report.at[:10]}-{report.machine.commit.replace('+', '-changed')}{kind}"
    target = stem.with_suffix(".json")
    target.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    draw(
        report.results,
        f"{report.machine.commit} · {report.machine.cpu} · {report.machine.cores} cores",
        stem.with_suffix(".png"),
    )
    console.print(f"kept in {os.path.relpath(target)} and beside it as a picture")


if __name__ == "__main__":
    sys.exit(main())
