"""Order within a column as strings between strings, so that one move writes one row.

Fractional indexing after Figma (https://www.figma.com/blog/realtime-editing-of-ordered-sequences/), by the
`fractional-indexing` library. Dropping into one gap for ever makes keys longer: past `LONGEST` a window around the
gap is spread anew, as part of the same event.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from fractional_indexing import generate_key_between, generate_n_keys_between

LONGEST: Final = 24
WINDOW: Final = 64

Place = tuple[str, UUID]
"""A task's place in its column: (rank, task id). The id breaks a tie, so that the order is total."""


def between(lower: str | None, upper: str | None) -> str:
    """A rank after `lower` and before `upper`; None is the open end."""
    return str(generate_key_between(lower, upper))


def bottom(column: Sequence[Place]) -> str:
    """A rank after everything in the column."""
    return between(column[-1][0] if column else None, None)


def index_of(column: Sequence[Place], place: Place) -> int:
    """Where `place` stands in the column; raises ValueError when it is not there."""
    index = bisect_left(column, place)
    if index == len(column) or column[index] != place:
        raise ValueError("not in this column")
    return index


def insert_at(column: Sequence[Place], index: int) -> tuple[str, dict[UUID, str]]:
    """A rank for a task dropped before `column[index]`, and the new ranks of neighbours if they had to be spread.

    The column must not hold the dropped task itself. Usually the second part is empty.
    """
    lower = column[index - 1][0] if index > 0 else None
    upper = column[index][0] if index < len(column) else None
    if lower is None or upper is None or lower < upper:
        rank = between(lower, upper)
        if len(rank) <= LONGEST:
            return rank, {}
    return _spread(column, index)


def _spread(column: Sequence[Place], index: int) -> tuple[str, dict[UUID, str]]:
    """Spread a window around the gap; widen it until every key is short, at worst over the whole column."""
    window = WINDOW
    while True:
        start, end = max(0, index - window), min(len(column), index + window)
        lower = column[start - 1][0] if start > 0 else None
        upper = column[end][0] if end < len(column) else None
        if lower is None or upper is None or lower < upper:
            keys = [str(key) for key in generate_n_keys_between(lower, upper, end - start + 1)]
            if max(map(len, keys)) <= LONGEST or (lower is None and upper is None):
                at = index - start
                moved = [*keys[:at], *keys[at + 1 :]]
                return keys[at], {
                    place[1]: key for place, key in zip(column[start:end], moved, strict=True) if place[0] != key
                }
        window *= 4
