"""E-mail addresses and names of people as they are accepted."""

import re
import unicodedata
from typing import Final

from core.errors import BadInput

__all__ = ["clean_email", "clean_name"]

LONGEST_EMAIL: Final = 254
LONGEST_LOCAL: Final = 64
LONGEST_NAME: Final = 100

_LOCAL: Final = re.compile(r"[^\s@\"(),:;<>\[\]\\]+")
_LABEL: Final = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")


def clean_email(text: str) -> str | None:
    """The address trimmed, in NFC, with its domain in lower case; None when it is none.

    Whether somebody reads it is for a verification mail to find out, so only the shape is checked (RFC 5321 lengths).
    """
    address = unicodedata.normalize("NFC", text.strip())
    local, _, domain = address.rpartition("@")
    domain = domain.lower()
    if not address.isprintable() or len(f"{local}@{domain}".encode()) > LONGEST_EMAIL:
        return None
    if len(local) > LONGEST_LOCAL or _LOCAL.fullmatch(local) is None:
        return None
    if not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        return None
    return f"{local}@{domain}"


def clean_name(text: str) -> str:
    """A person's name trimmed and in NFC. Raises BadInput unless it has 1 to 100 visible characters."""
    name = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise BadInput(f"A name has 1 to {LONGEST_NAME} printable characters.", pointer="/name")
    return name
