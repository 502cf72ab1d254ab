"""The example warehouse, as a module, and copies in it."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from core.codec import JournalRow
from streams.cloud_events import cloud_event
from tests.support.source import ROOT

__all__ = ["FOLDER", "open_warehouse", "part", "taken"]

FOLDER = ROOT / "examples" / "warehouse"


def part(name: str) -> Any:
    """A module of the example, which is run from its own folder."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return import_module(f"warehouse.{name}")


def open_warehouse(path: Path | str = ":memory:") -> Any:
    """A new one; in memory, unless told otherwise."""
    return part("store").Warehouse(path)


def taken(warehouse: Any, rows: list[JournalRow], size: int = 40) -> Any:
    """The warehouse once it has these events, taken so many at a time."""
    events = [part("events").Event.of(cloud_event(row)) for row in rows]
    for start in range(0, len(events), size):
        with warehouse.transaction():
            warehouse.take(events[start : start + size])
    return warehouse
