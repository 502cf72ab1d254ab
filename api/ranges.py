"""Parts of a file: one range of bytes, as browsers and download programs ask for it (RFC 9110, section 14).

Several ranges at once are allowed to be ignored, and are: the answer is then the whole file.
"""

import re
from typing import Final

__all__ = ["NOT_SATISFIABLE", "NoSuchRange", "part_of"]

NOT_SATISFIABLE: Final = "range-not-satisfiable"
_RANGE: Final = re.compile(rb"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


class NoSuchRange(Exception):
    """The file, of `size` bytes, has no byte of the range."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def part_of(headers: dict[bytes, bytes], etag: bytes, size: int) -> tuple[int, int] | None:
    """The first byte that is asked for, and the first after it; None for all. Raises NoSuchRange.

    `If-Range` with another file's ETag, or with a date, which says too little, asks for all.
    """
    wanted = headers.get(b"range")
    if wanted is None or headers.get(b"if-range", etag) != etag:
        return None
    found = _RANGE.fullmatch(wanted)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:  # So many of the last bytes.
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= size:
        raise NoSuchRange(size)
    return start, end
