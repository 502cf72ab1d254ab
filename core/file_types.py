"""What a file is, by its first bytes. What its sender calls it counts only where the bytes do not speak against it.

The table is short on purpose: a type that is not in it is bytes, and bytes are never shown by a browser. Markup (HTML,
SVG, XML), which can run scripts, is bytes as well, whatever it is called.
"""

import re
from typing import Final

__all__ = ["BYTES", "HEAD_BYTES", "PICTURES", "declared_type", "file_type"]

BYTES: Final = "application/octet-stream"
HEAD_BYTES: Final = 4096
"""As much of a file is looked at."""
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What a browser may show, and a thumbnail is made of."""

_MAGIC: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF-[12]\."), "application/pdf"),
    (re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)"), "application/zip"),
)
_IN_ZIP: Final = re.compile(
    r"application/(vnd\.openxmlformats-officedocument\.[a-z.]{1,60}|vnd\.oasis\.opendocument\.[a-z-]{1,30}|epub\+zip)"
)
"""Types of files that are zip archives in themselves."""
_TEXTS: Final = frozenset({"text/plain", "text/csv", "text/markdown", "application/json"})
_MARKUP: Final = re.compile(rb"<\s*[!?/a-zA-Z]")


_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,90}/[a-z0-9][a-z0-9!#$&^_.+-]{0,90}")


def declared_type(declared: str) -> str:
    """What a sender calls a file, without parameters; octet-stream for what is no media type (RFC 6838)."""
    plain = declared.split(";", 1)[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else BYTES


def file_type(head: bytes, declared: str = "") -> str:
    """The media type of a file that begins with `head` and was sent as `declared`: octet-stream when that is a lie.

    Text is UTF-8 without NUL; `head` may end within a character.
    """
    claimed = declared_type(declared)
    found = _type_of(head)
    if found == "application/zip" and _IN_ZIP.fullmatch(claimed):
        return claimed
    if found == "text/plain" and claimed in _TEXTS:
        return claimed
    return found if claimed in {BYTES, found} else BYTES


def _type_of(head: bytes) -> str:
    for magic, kind in _MAGIC:
        if magic.match(head):
            return kind
    return "text/plain" if _is_text(head) else BYTES


def _is_text(head: bytes) -> bool:
    """Whether these are letters that a browser shows as letters: it takes what looks like markup for markup."""
    if not head or b"\0" in head or _MARKUP.match(head.removeprefix(b"\xef\xbb\xbf").lstrip()):
        return False
    try:
        head[:HEAD_BYTES].decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.start >= len(head) - 3
    return True
