"""Bootstraps read back by means of others: the standard library and pyarrow, with nothing of ours but the names."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]

from core.checkpoints import state_of
from core.codec import JournalRow
from db.bootstrap.spool import Spool

__all__ = ["lines_of", "rows_of", "spooled", "state_of_lines"]

Line = dict[str, Any]


def spooled(folder: Path, rows: list[JournalRow], size: int = 100) -> Spool:
    """A spool in the folder that has taken these events, so many at a time."""
    spool = Spool(folder / f"spool-{len(list(folder.iterdir()))}")
    for start in range(0, len(rows), size):
        spool.take(rows[start : start + size])
    return spool


def lines_of(data: bytes) -> tuple[Line, list[Line]]:
    """The checkpoint of a JSON Lines file, and its things."""
    first, *others = [json.loads(line) for line in data.decode().removesuffix("\n").split("\n")]
    return first["checkpoint"], others


def rows_of(path: Path) -> tuple[Line, list[Line]]:
    """The same of a Parquet file; what it has beside each thing is there too."""
    table = pq.read_table(path)
    return json.loads(table.schema.metadata[b"taskforge.checkpoint"]), table.to_pylist()


def state_of_lines(data: bytes) -> str:
    """The state, over the bytes of the file as they stand there."""
    lines = data.removesuffix(b"\n").split(b"\n")[1:]
    things = [(json.loads(line)["kind"], line[line.index(b',"thing":') + 9 : -1]) for line in lines]
    return state_of(hashlib.sha256(kind.encode() + b" " + text).digest() for kind, text in things)
