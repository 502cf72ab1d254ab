"""Text at the door: what may stand in a name and in a description, and the forms in which texts are compared.

Stored text is in NFC (UAX 15). What nobody sees is not taken for something: a name of blanks and invisible characters
is empty, and a control character or a bidirectional override (UAX 9; "Trojan Source", CVE-2021-42574) shows a reader
another text than the one that is stored. Joiners (ZWJ, ZWNJ), direction marks and variation selectors stay, because
emoji, Persian and the scripts of India are written with them.
"""

import re
from typing import Final
from unicodedata import category, combining, normalize

__all__ = [
    "LONGEST_TEXT",
    "MOST_MARKS",
    "clean_line",
    "clean_lines",
    "drop_forbidden",
    "fold_name",
    "fold_search",
    "is_visible",
]

LONGEST_TEXT: Final = 64 * 1024
"""Bytes of UTF-8 that a text of several lines may have."""

MOST_MARKS: Final = 30
"""Marks in a row, as in the Stream-Safe Text Format (UAX 15, 13). Bringing marks into their order is quadratic in their
number, and a tower of them covers the lines around it; no language stacks more than a handful."""

_BIDI: Final = "\u202a-\u202e\u2066-\u2069"
_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_UNSEEN: Final = f"{_BIDI}{_NONCHARACTERS}\ud800-\udfff"
# Where there may be marks at all; which of these characters are marks, only a look at each tells.
_MANY: Final = re.compile(f"[\u0300-\U0010ffff]{{{MOST_MARKS + 1},}}")
_NOT_IN_LINES: Final = re.compile(f"[\0-\x08\x0b-\x1f\x7f-\x9f{_UNSEEN}]")
_NOT_IN_A_LINE: Final = re.compile(f"[\0-\x1f\x7f-\x9f\u2028\u2029{_UNSEEN}]")
_BREAKS: Final = re.compile("[\t\n\r\x0b\x0c\x85\u2028\u2029]+")

# Unicode's Default_Ignorable_Code_Point, and three characters that are drawn as nothing without having that property.
_IGNORABLE_RANGES: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_IGNORABLE: Final = re.compile(f"[{_IGNORABLE_RANGES}]")
_DRAWN_AS_NOTHING: Final = re.compile(f"[{_IGNORABLE_RANGES}\u2800\U00016fe4\U0001d159]")
_BLANK: Final = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})

# Combining classes of marks that are letters of their scripts: viramas and vowel signs. All other marks are accents.
_LETTER_MARKS: Final = frozenset({0, 9, 84, 91, 103, 118, 129, 130, 132})
_WITHOUT_DECOMPOSITION: Final = str.maketrans("\u0131łøđħŧ", "ilodht")


def clean_line(text: str, most: int) -> str:
    """A title or a name in NFC: one line with a visible character, of at most `most` characters. Raises ValueError."""
    line = _composed(text)
    _refuse(line, _NOT_IN_A_LINE)
    if len(line) > most:
        raise ValueError(f"text must have at most {most} characters (in NFC)")
    if not is_visible(line):
        raise ValueError("text must not be blank: it needs a visible character")
    return line


def clean_lines(text: str) -> str:
    """A text of any lines in NFC, whose lines end with a newline alone, of at most 64 KiB. Raises ValueError."""
    lines = _composed(text)
    if "\r" in lines:
        lines = lines.replace("\r\n", "\n")
    _refuse(lines, _NOT_IN_LINES)
    if len(lines) * 4 > LONGEST_TEXT and len(lines.encode()) > LONGEST_TEXT:
        raise ValueError("text must be at most 64 KiB of UTF-8")
    return lines


def is_visible(text: str) -> bool:
    """Whether any character of the text is drawn."""
    if text.isascii():
        return not (text.isspace() or not text)
    return any(category(char) not in _BLANK and _DRAWN_AS_NOTHING.match(char) is None for char in text)


def drop_forbidden(text: str, *, lines: bool) -> tuple[str, int]:
    """The text without what `clean_lines` (or, unless `lines`, `clean_line`) refuses, and how many characters went.

    Breaks of a text that is to be one line become a space, and do not count; nor do marks beyond the most in a row.
    """
    text = _without_towers(text)
    if lines:
        return _NOT_IN_LINES.subn("", text.replace("\r\n", "\n"))
    return _NOT_IN_A_LINE.subn("", _BREAKS.sub(" ", text))


def fold_name(name: str) -> str:
    """The form in which two names of one team are the same: without case, compatibility forms and what is not drawn.

    Blanks of whatever kind and number are one space, and none around the name. Accents count. After NFKC_Casefold
    (Unicode, 3.13.5), except that the dot of a Turkish `İ` goes too, which case folding leaves on its `i` as a mark.
    """
    if not name.isascii():
        name = normalize("NFC", _decomposed(_IGNORABLE.sub("", name)).replace("i\u0307", "i"))
    return " ".join(name.lower().split())


def fold_search(text: str) -> str:
    """The form in which text is searched: as `fold_name`, and without accents (marks that are no letters)."""
    if text.isascii():
        return text.lower()
    return normalize("NFC", text.translate(_FOLDS))


def _decomposed(text: str) -> str:
    return normalize("NFKD", normalize("NFKD", text).casefold())


class _Folds(dict[int, str]):
    """What becomes of each character that is searched, learned when it is first met.

    A text may be folded character by character: decomposition and case folding know no context, and the NFC of the
    whole brings marks into their order. One look-up costs a fifth of doing it anew.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        parts = "" if _IGNORABLE.match(char) else _decomposed(char).translate(_WITHOUT_DECOMPOSITION)
        folded = normalize("NFC", "".join(part for part in parts if combining(part) in _LETTER_MARKS))
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded


_REMEMBERED: Final = 30_000
"""More characters than any team writes in, at some 150 bytes each."""
_FOLDS: Final = _Folds()


def _composed(text: str) -> str:
    """In NFC. Raises ValueError for more marks in a row than that can be done with in linear time."""
    if text.isascii():
        return text
    tower = _tower(text)
    if tower is not None:
        raise ValueError(f"text must not have more than {MOST_MARKS} marks in a row (character {tower + 1})")
    return normalize("NFC", text)


def _tower(text: str) -> int | None:
    """Where the first mark of too many in a row stands."""
    for found in _MANY.finditer(text):
        run = 0
        for place in range(found.start(), found.end()):
            run = run + 1 if combining(text[place]) else 0
            if run > MOST_MARKS:
                return place - MOST_MARKS
    return None


def _without_towers(text: str) -> str:
    if _tower(text) is None:
        return text
    kept, run = list[str](), 0
    for char in text:
        run = run + 1 if combining(char) else 0
        if run <= MOST_MARKS:
            kept.append(char)
    return "".join(kept)


def _refuse(text: str, forbidden: "re.Pattern[str]") -> None:
    found = forbidden.search(text)
    if found is not None:
        code = ord(found[0])
        raise ValueError(f"text must not contain {_kind(code)} (U+{code:04X}, character {found.start() + 1})")


def _kind(code: int) -> str:
    if code == 0:
        return "the NUL character"
    if code in {0x09, 0x0A, 0x0D, 0x2028, 0x2029}:
        return "tabs or line breaks"
    if code < 0xA0:
        return "control characters"
    if 0xD800 <= code < 0xE000:
        return "lone surrogates"
    return "bidirectional overrides or isolates" if code < 0x2070 else "noncharacters"
