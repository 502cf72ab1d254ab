"""Which formats there are, and one door to their writers."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, assert_never, get_args

from core.checkpoints import Checkpoint
from db.bootstrap.spool import Spool
from streams.bootstrap.json_lines import write_json_lines

__all__ = ["EXTRA", "FORMATS", "ExtraMissing", "Format", "check_installed", "media_type_of", "write"]

Format = Literal["jsonl", "parquet"]
"""Also the ending of a file's name."""
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
EXTRA: Final = "parquet"
"""The extra of our package that brings pyarrow."""
LIBRARY: Final = "pyarrow"


class ExtraMissing(Exception):
    """This process writes no Parquet: it was installed without the extra."""


def check_installed(form: Format) -> None:
    """Raise ExtraMissing, naming the extra, unless this process can write the format."""
    if form == "parquet" and find_spec(LIBRARY) is None:
        raise ExtraMissing(
            f"Parquet needs the extra “{EXTRA}” where it is written (pip install 'taskforge-server[{EXTRA}]'):"
            f" {LIBRARY} is not installed."
        )


def media_type_of(form: Format) -> str:
    """What a file of the format is, in HTTP's words."""
    return "application/x-ndjson" if form == "jsonl" else "application/vnd.apache.parquet"


def write(form: Format, path: Path, checkpoint: Checkpoint, spool: Spool) -> None:
    """Write everything in the spool, with the checkpoint, into a new file. It takes a while: call it in a thread.

    Raises ExtraMissing for a format that this process cannot write.
    """
    check_installed(form)
    match form:
        case "jsonl":
            write_json_lines(path, checkpoint, spool)
        case "parquet":
            from streams.bootstrap.parquet import write_parquet

            write_parquet(path, checkpoint, spool)
        case _:
            assert_never(form)
