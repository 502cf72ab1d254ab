"""What a report is made of, whatever it is about: this, as JSON, is the data of the template `report.typ`.

Document
  ├── figures   large numbers below the cover line
  ├── charts    bars, one below the other or upright over time
  └── sections  tables: a heading, columns, rows, and how many rows are not printed
"""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal
from unicodedata import bidirectional, combining

from msgspec import Struct

from core.columns import Category

__all__ = ["Bar", "Chart", "Column", "Document", "Due", "Figure", "Hue", "Said", "Section", "Series", "label", "said"]

Hue = Category | Literal["accent", "bad"]
"""A colour of the product: that of a category of columns, what stands out, or what is wrong."""
CellKind = Literal["key", "said", "priority", "due", "plain"]
Width = Literal["key", "said", "wide", "priority", "due", "plain"]

LONGEST_WORD: Final = 24
"""Longer words may be broken after every few characters, where no script would allow it: no column is as wide."""
PIECE: Final = 6
LONGEST_LABEL: Final = 32
BREAK: Final = "\N{ZERO WIDTH SPACE}"
_LONG_WORDS: Final = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
_KANA: Final = re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f]")


class Said(Struct, frozen=True):
    """Text of people's: which way it runs, and whether its Han characters are to look as they do in Japan."""

    text: str
    rtl: bool = False
    japanese: bool = False


class Figure(Struct, frozen=True):
    """A number worth seeing first."""

    label: str
    value: str
    hue: Hue | None = None


class Series(Struct, frozen=True):
    """What the bars of one colour stand for."""

    name: str
    hue: Hue


class Bar(Struct, frozen=True):
    """A place on a chart: a value for each series. `hue` is that of the bar where there is one series."""

    label: Said
    values: Sequence[int]
    hue: Hue = "open"


class Chart(Struct, frozen=True):
    """Bars over time stand upright; those of things lie, so that there is room for what the things are called."""

    title: str
    upright: bool
    series: Sequence[Series]
    bars: Sequence[Bar]


class Due(Struct, frozen=True):
    """When something is due, and whether that has passed."""

    text: str
    late: bool


class Column(Struct, frozen=True):
    """A column of a table; `wide` ones take more of the room that is left."""

    name: str
    kind: CellKind
    width: Width


class Section(Struct, frozen=True):
    """A table. A row has a value for each column: Said, Due, or a text. `more` says what is not printed."""

    title: Said
    count: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    hue: Hue = "accent"
    more: str = ""


class Document(Struct, frozen=True, kw_only=True):
    """A report. `period` and `made` are times in words, in the zone that `zone` names; `empty` is said instead of
    tables."""

    title: str
    team: Said
    period: str
    made: str
    by: Said
    zone: str
    figures: Sequence[Figure]
    charts: Sequence[Chart]
    sections: Sequence[Section]
    empty: str = ""


def said(text: str, *, ours: bool = False) -> Said:
    """Text of people's, with places to break its longest words. `ours`: the sentence around it is English."""
    return Said(
        _LONG_WORDS.sub(lambda word: _broken(word[0]), text),
        not ours and _runs_to_the_left(text),
        _KANA.search(text) is not None,
    )


def label(text: str) -> Said:
    """Text of people's on one line of a chart."""
    return said(text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…")


def _broken(word: str) -> str:
    """The word in pieces; no mark is parted from its letter."""
    pieces, start = [], 0
    for place in range(PIECE, len(word)):
        if place - start >= PIECE and not combining(word[place]) and bidirectional(word[place]) != "NSM":
            pieces.append(word[start:place])
            start = place
    return BREAK.join([*pieces, word[start:]])


def _runs_to_the_left(text: str) -> bool:
    """Whether the first letter that has a direction runs from right to left (UAX 9, P2)."""
    first = next((way for char in text if (way := bidirectional(char)) in ("L", "R", "AL")), "L")
    return first != "L"
