"""JSON Lines: the checkpoint on the first line, then a thing on each.

    {"checkpoint": {"format": 1, "team": "…", "epoch": 1, "seq": 5012, …}}
    {"kind": "task", "id": "…", "thing": {…}}

`thing` is the last member and canonical JSON (RFC 8785), so that its bytes can be hashed as they stand there.
"""

from pathlib import Path
from typing import Final

import msgspec

from core.checkpoints import Checkpoint
from db.bootstrap.spool import Spool, SpooledThing

__all__ = ["write_json_lines"]

BUFFER_BYTES: Final = 256 * 1024

_encode = msgspec.json.Encoder().encode


def write_json_lines(path: Path, checkpoint: Checkpoint, spool: Spool) -> None:
    """Write the file, a portion of things at a time."""
    with path.open("wb", buffering=BUFFER_BYTES) as file:
        file.write(_encode({"checkpoint": checkpoint}) + b"\n")
        for things in spool.things():
            file.writelines(map(_line, things))


def _line(thing: SpooledThing) -> bytes:
    return f'{{"kind":"{thing.kind}","id":"{thing.id}","thing":{thing.text}}}\n'.encode()
