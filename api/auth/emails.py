"""E-mail addresses and names of people as they are accepted."""

import re
import unicodedata
from typing import Final

import idna

from core.errors import BadInput
from core.text import clean_line

__all__ = ["clean_email", "clean_name", "domain_form", "known_forms"]

LONGEST_EMAIL: Final = 254
LONGEST_LOCAL: Final = 64
LONGEST_NAME: Final = 100

_LOCAL: Final = re.compile(r"[^\s@\"(),:;<>\[\]\\]+")
_LABEL: Final = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")


def clean_email(text: str) -> str | None:
    """The address trimmed, in NFC, with its domain in its one form (see `domain_form`); None when it is none.

    Whether somebody reads it is for a verification mail to find out, so only the shape is checked (RFC 5321 lengths).
    """
    address = unicodedata.normalize("NFC", text.strip())
    local, _, domain = address.rpartition("@")
    domain = domain_form(domain)
    if not address.isprintable() or len(f"{local}@{domain}".encode()) > LONGEST_EMAIL:
        return None
    if len(local) > LONGEST_LOCAL or _LOCAL.fullmatch(local) is None:
        return None
    if not all(_LABEL.fullmatch(label) for label in domain.split(".")) and not _is_international(domain):
        return None
    return f"{local}@{domain}"


def domain_form(domain: str) -> str:
    """The one form in which a domain is stored and compared: lower case, in its own letters (a U-label, RFC 5890).

    `BÜCHER.example`, `xn--bcher-kva.example` and a spelling in full-width letters are one (UTS 46, then IDNA 2008). A
    domain that IDNA does not allow, as one in a private network may be, is compared in lower case.
    """
    lowered = domain.lower()
    if lowered.isascii() and "xn--" not in lowered:
        return lowered
    try:
        return idna.decode(idna.encode(lowered, uts46=True)).lower()
    except (idna.IDNAError, UnicodeError):
        return lowered


def known_forms(text: str) -> tuple[str, ...]:
    """The addresses that somebody may mean who gives this one: as older releases kept it, then in its one form.

    None for what is no address. An account whose domain the migration to one form could not tell, or that shares its
    form with another account, is found by the spelling that it was made with. Nobody can make such a one any more.
    """
    cleaned = clean_email(text)
    if cleaned is None:
        return ()
    local, _, domain = unicodedata.normalize("NFC", text.strip()).rpartition("@")
    return tuple(dict.fromkeys((f"{local}@{domain.lower()}", cleaned)))


def _is_international(domain: str) -> bool:
    """Whether IDNA allows a domain whose letters our pattern does not know: those that are written with marks."""
    try:
        return not domain.isascii() and not domain.endswith(".") and bool(idna.encode(domain))
    except (idna.IDNAError, UnicodeError):
        return False


def clean_name(text: str) -> str:
    """A person's name trimmed and in NFC, one line of at most 100 characters. Raises BadInput."""
    try:
        return clean_line(text.strip(), LONGEST_NAME)
    except ValueError as error:
        raise BadInput(f"A name has 1 to {LONGEST_NAME} characters: {error}.", pointer="/name") from error
