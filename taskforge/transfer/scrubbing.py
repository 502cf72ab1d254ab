"""What files of other programs carry in their texts and no text of ours may: it is dropped, and said so.

`docs/decisions/imports-drop-control-characters.md` says why rows are not refused for it.
"""

from typing import Any, Final

from msgspec import Struct

from core.text import drop_forbidden
from taskforge.transfer.files import Row

__all__ = ["Scrubbed", "scrub"]

WITH_LINES: Final = frozenset({"description"})


class Scrubbed(Struct, frozen=True):
    """A row as it can be taken; `dropped` has what was lost of it, by column: so many characters."""

    row: Row
    dropped: dict[str, int]

    def __str__(self) -> str:
        lost = (f"{count} control or invisible steering characters of {name}" for name, count in self.dropped.items())
        return f"row {self.row.number}: dropped {', '.join(lost)}"


def scrub(row: Row) -> Scrubbed:
    """The row without control characters, bidirectional overrides and the like; breaks in names become spaces."""
    cells, dropped = dict[str, Any](), dict[str, int]()
    for name, cell in row.cells.items():
        cells[name], lost = _scrubbed(cell, lines=name in WITH_LINES)
        if lost:
            dropped[name] = lost
    return Scrubbed(Row(row.number, cells), dropped)


def _scrubbed(cell: Any, *, lines: bool) -> tuple[Any, int]:
    if isinstance(cell, str):
        return drop_forbidden(cell, lines=lines)
    if isinstance(cell, list):
        parts = [_scrubbed(part, lines=lines) for part in cell]
        return [part for part, _ in parts], sum(lost for _, lost in parts)
    return cell, 0
