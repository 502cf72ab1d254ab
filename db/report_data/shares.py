"""How many rows of each group are printed when there are too many for one report."""

from collections.abc import Mapping
from typing import Final, TypeVar

__all__ = ["MOST_ROWS", "allotted"]

MOST_ROWS: Final = 2_000
"""Rows of one report: some fifty pages, which are set in a few seconds."""

K = TypeVar("K")


def allotted(counts: Mapping[K, int], most: int = MOST_ROWS) -> dict[K, int]:
    """So many of each group that together they are at most `most`: small groups whole, large ones equally many."""
    shares: dict[K, int] = {}
    left = most
    for done, group in enumerate(sorted(counts, key=lambda one: counts[one])):
        shares[group] = min(counts[group], left // (len(counts) - done))
        left -= shares[group]
    return shares
