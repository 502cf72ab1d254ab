"""`taskforge worker`: relay and consumers, until SIGTERM or Ctrl-C."""

import argparse
import asyncio

from rich.console import Console

from streams.worker import PARTS, run_worker
from taskforge.settings import Settings

__all__ = ["run"]

USAGE = 2


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the chosen parts (default: all there are); gives the exit code."""
    only = PARTS if args.only is None else frozenset(args.only)
    if missing := only - PARTS:
        text = f"not in this version: {', '.join(sorted(missing))} (there are {', '.join(sorted(PARTS))})"
        Console(stderr=True).print(text, style="red", markup=False, highlight=False)
        return USAGE
    asyncio.run(run_worker(settings.database, settings.kafka, settings.valkey, only=only))
    return 0
