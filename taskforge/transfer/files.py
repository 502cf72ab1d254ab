"""Files of rows: CSV (RFC 4180) and JSON Lines, UTF-8 with or without a byte order mark."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import msgspec
from msgspec import Struct

from core.errors import TaskForgeError

__all__ = [
    "Format",
    "Reject",
    "Row",
    "RowWriter",
    "Table",
    "TransferError",
    "format_of",
    "read_table",
    "write_rejects",
    "write_rows",
]

Format = Literal["csv", "jsonl"]
ENDINGS: Final[dict[str, Format]] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
# Legal inside a JSON string, but many readers of lines break there.
BREAKS: Final = str.maketrans({char: f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"})
NOTES: Final = ("_row", "_reason")
"""Columns of a rejects file, so that it can be mended and imported again."""


class TransferError(TaskForgeError):
    """The file, or what was asked about it, is wrong as a whole; nothing was imported."""

    code = "transfer"


class Row(Struct, frozen=True):
    """`number` is what an editor shows: in CSV the header is row 1, in JSON Lines it is the line."""

    number: int
    cells: dict[str, Any]


class Reject(Struct, frozen=True):
    """A row that was not imported, and why."""

    row: Row
    reason: str


class Table(Struct, frozen=True):
    """A file's columns (for JSON Lines: every field met), its rows, and those that could not be read."""

    columns: tuple[str, ...]
    rows: list[Row]
    rejects: list[Reject]


def format_of(path: Path | None, chosen: Format | None) -> Format:
    """The format asked for, else the one the file's ending names. Raises TransferError when neither says."""
    if chosen is not None:
        return chosen
    if path is None:
        return "jsonl"
    found = ENDINGS.get(path.suffix.lower())
    if found is None:
        raise TransferError(f"{path.name}: the ending says neither CSV nor JSON Lines; add --format csv or jsonl")
    return found


def read_table(path: Path, form: Format, known: frozenset[str]) -> Table:
    """The whole file. Raises TransferError for what makes it unreadable or has columns beyond `known`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read_csv(file, path.name, known) if form == "csv" else _read_lines(file, known)
    except UnicodeDecodeError as error:
        raise TransferError(f"{path.name}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except csv.Error as error:
        raise TransferError(f"{path.name}: not valid CSV: {error}") from error


def _read_csv(file: TextIO, name: str, known: frozenset[str]) -> Table:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(file, strict=True)
    header = next(reader, None)
    if not header:
        raise TransferError(f"{name}: the file is empty; the first row must name the columns")
    columns = tuple(column.strip() for column in header)
    _check_columns(columns, name, known)
    rows, rejects = list[Row](), list[Reject]()
    for number, cells in enumerate(reader, start=2):
        row = Row(number, dict(zip(columns, cells, strict=False)))
        if not cells:
            continue
        if len(cells) != len(columns):
            rejects.append(Reject(row, f"the row has {len(cells)} cells, the header {len(columns)}"))
        else:
            rows.append(row)
    return Table(columns, rows, rejects)


def _check_columns(columns: Sequence[str], name: str, known: frozenset[str]) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise TransferError(f"{name}: the header names {', '.join(map(repr, twice))} twice")
    unknown = [column for column in columns if column not in known and column not in NOTES]
    if unknown:
        listed = ", ".join(map(repr, unknown))
        raise TransferError(f"{name}: unknown column {listed}; there are {', '.join(sorted(known))}")


def _read_lines(file: TextIO, known: frozenset[str]) -> Table:
    columns, rows, rejects = dict[str, None](), list[Row](), list[Reject]()
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            cells = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError) as error:
            rejects.append(Reject(Row(number, {"line": line[:200]}), f"not a JSON object: {error}"))
            continue
        unknown = sorted(set(cells) - known - set(NOTES))
        row = Row(number, cells)
        if unknown:
            rejects.append(Reject(row, f"unknown field {', '.join(map(repr, unknown))}"))
        else:
            columns.update(dict.fromkeys(cells))
            rows.append(row)
    return Table(tuple(columns), rows, rejects)


class RowWriter:
    """Writes rows with these columns, one after the other. Lists and None are the caller's to turn into cells."""

    def __init__(self, file: TextIO, form: Format, columns: Sequence[str]) -> None:
        self._file = file
        self._csv = (
            csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\r\n") if form == "csv" else None
        )
        self.written = 0
        if self._csv is not None:
            self._csv.writeheader()

    def write(self, row: Mapping[str, Any]) -> None:
        """The next row."""
        if self._csv is not None:
            self._csv.writerow(row)
        else:
            self._file.write(msgspec.json.encode(row).decode().translate(BREAKS) + "\n")
        self.written += 1


def write_rows(file: TextIO, form: Format, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write all of the rows; the number written."""
    writer = RowWriter(file, form, columns)
    for row in rows:
        writer.write(row)
    return writer.written


def write_rejects(path: Path, form: Format, table: Table, rejects: Sequence[Reject]) -> None:
    """The rejected rows as they came, with `_row` and `_reason` in front: mend it and import it again."""
    columns = [*NOTES, *(column for column in table.columns if column not in NOTES)]
    rows = [{**reject.row.cells, "_row": reject.row.number, "_reason": reject.reason} for reject in rejects]
    with path.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, form, columns, rows)
