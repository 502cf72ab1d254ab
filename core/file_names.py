"""What a file may be called: one name, that nobody takes for a path or for another name."""

import unicodedata
from typing import Final

from core.task import FieldError

__all__ = ["LONGEST_NAME", "file_name"]

LONGEST_NAME: Final = 255
"""Bytes of UTF-8: what file systems take."""
_SEPARATORS: Final = str.maketrans({"\\": "/"})
_HIDDEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of characters, and what ends a line."""
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of text, so that `gnp.exe` reads as `exe.png` (Unicode Standard Annex 9)."""


def file_name(given: str, field: str = "name") -> str:
    """The last part of a name or path, in NFC. Raises FieldError for `field` when nobody should have such a file."""
    name = unicodedata.normalize("NFC", given).translate(_SEPARATORS).rpartition("/")[2].strip()
    if not name.strip(". "):
        raise FieldError(field, "a file must have a name")
    if any(unicodedata.category(character) in _HIDDEN or character in _BIDI for character in name):
        raise FieldError(field, "a file's name must not contain control characters, nor any that turn its direction")
    if len(name.encode()) > LONGEST_NAME:
        raise FieldError(field, f"a file's name must be at most {LONGEST_NAME} bytes of UTF-8")
    return name
