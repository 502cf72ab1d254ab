"""Parquet: a row for each thing, the checkpoint in the file's metadata under `taskforge.checkpoint`.

`thing` is the whole of it as canonical JSON (RFC 8785); beside it are the fields that most questions begin with, for
readers that do not take JSON apart. Importing this module needs the extra `parquet`.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from core.checkpoints import Checkpoint
from db.bootstrap.spool import Spool, SpooledThing

__all__ = ["CHECKPOINT_KEY", "write_parquet"]

CHECKPOINT_KEY: Final = b"taskforge.checkpoint"
GROUP_ROWS: Final = 10_000
"""Rows of a row group: what is in memory until it is written."""

_INSTANT: Final = pa.timestamp("us", tz="UTC")
# What each field is in Arrow, and how it is made of the JSON.
_FIELDS: Final[dict[str, tuple[Any, Callable[[Any], Any]]]] = {
    "number": (pa.int64(), int),
    "key": (pa.string(), str),
    "title": (pa.string(), str),
    "name": (pa.string(), str),
    "status": (pa.string(), str),
    "category": (pa.string(), str),
    "column_id": (pa.string(), str),
    "priority": (pa.string(), str),
    "assignee_id": (pa.string(), str),
    "user_id": (pa.string(), str),
    "estimate": (pa.float64(), float),
    "due_on": (pa.date32(), date.fromisoformat),
    "due_at": (_INSTANT, datetime.fromisoformat),
    "created_at": (_INSTANT, datetime.fromisoformat),
    "updated_at": (_INSTANT, datetime.fromisoformat),
    "completed_at": (_INSTANT, datetime.fromisoformat),
    "archived_at": (_INSTANT, datetime.fromisoformat),
    "version": (pa.int64(), int),
}
_SCHEMA: Final = pa.schema(
    [
        pa.field("team_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("task_id", pa.string()),
        pa.field("thing", pa.string(), nullable=False),
        *(pa.field(name, kind) for name, (kind, _) in _FIELDS.items()),
    ]
)


def write_parquet(path: Path, checkpoint: Checkpoint, spool: Spool) -> None:
    """Write the file, a row group at a time."""
    schema = _SCHEMA.with_metadata({CHECKPOINT_KEY: msgspec.json.encode(checkpoint)})
    waiting: list[SpooledThing] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for things in spool.things():
            waiting += things
            if len(waiting) >= GROUP_ROWS:
                writer.write_table(_table(schema, checkpoint, waiting))
                waiting = []
        if waiting:
            writer.write_table(_table(schema, checkpoint, waiting))


def _table(schema: Any, checkpoint: Checkpoint, things: Sequence[SpooledThing]) -> Any:
    return pa.Table.from_pylist([_row(str(checkpoint.team), thing) for thing in things], schema=schema)


def _row(team_id: str, thing: SpooledThing) -> dict[str, Any]:
    fields = json.loads(thing.text)
    return {
        "team_id": team_id,
        "kind": thing.kind,
        "id": thing.id,
        "task_id": thing.task_id,
        "thing": thing.text,
        **{name: make(fields[name]) for name, (_, make) in _FIELDS.items() if fields.get(name) is not None},
    }
