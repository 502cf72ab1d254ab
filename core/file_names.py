"""What a file may be called: one name, that nobody takes for a path or for another name."""

import re
from typing import Final

from core.field_error import FieldError
from core.text import clean_line

__all__ = ["LONGEST_NAME", "file_name"]

LONGEST_NAME: Final = 255
"""Bytes of UTF-8: what file systems take."""
_SEPARATORS: Final = str.maketrans({"\\": "/"})
_DIRECTION: Final = re.compile("[\u061c\u200e\u200f]")
"""Direction marks, which other names may have: in that of a file they make `gnp.exe` of something else (UAX 9)."""


def file_name(given: str, field: str = "name") -> str:
    """The last part of a name or path, in NFC. Raises FieldError for `field` when nobody should have such a file."""
    try:
        name = clean_line(given.translate(_SEPARATORS).rpartition("/")[2].strip(), LONGEST_NAME)
    except ValueError as error:
        raise FieldError(field, str(error)) from error
    if not name.strip(". "):
        raise FieldError(field, "a file must have a name")
    if _DIRECTION.search(name):
        raise FieldError(field, "a file's name must not turn the direction of text")
    if len(name.encode()) > LONGEST_NAME:
        raise FieldError(field, f"a file's name must be at most {LONGEST_NAME} bytes of UTF-8")
    return name
