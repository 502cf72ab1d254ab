"""`If-Match`: a change happens only when the task is still at a version that the client has seen (RFC 9110, 13.1.1)."""

import re
from collections.abc import Iterator
from typing import Final

from api.calls import Call
from api.etags import without_coding
from core.commands import Seen, Versions
from core.errors import BadInput
from core.seq import MAX_SEQ

__all__ = ["if_match", "refuse_if_match"]

_ENTITY_TAG: Final = re.compile(rb'[ \t]*(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|$)')
_HINT: Final = 'If-Match must be * or ETags as a task gave them, such as "42", separated by commas.'


def if_match(call: Call) -> Versions | None:
    """The versions that are named: one, or all of several; None when the header is absent or `*`. Raises BadInput.

    Weak ETags, and those of other things, match no version (the comparison is strong): naming nothing else gives `()`.
    """
    given = call.headers.get(b"if-match")
    if given is None or given.strip(b" \t") == b"*":
        return None
    tags = list(_entity_tags(given))
    if not tags:
        raise BadInput(_HINT, parameter="If-Match")
    versions = tuple(seen for weak, tag in tags if not weak and (seen := _seen(tag)) is not None)
    return versions[0] if len(versions) == 1 else versions


def _entity_tags(text: bytes) -> Iterator[tuple[bool, bytes]]:
    """Whether each is weak, and its opaque part. Raises BadInput for what is no list of ETags."""
    place = 0
    while place < len(text):
        found = _ENTITY_TAG.match(text, place)
        if found is None:
            raise BadInput(_HINT, parameter="If-Match")
        if found[2] is not None:
            yield found[1] is not None, found[2]
        place = found.end()


def _seen(tag: bytes) -> Seen | None:
    """What `etags.version_tag` made the tag of; None for any other tag. The first epoch is never written."""
    before, dot, digits = without_coding(tag)[1:-1].rpartition(b".")
    epoch = _number(before) if dot else 1
    version = _number(digits)
    return None if version is None or epoch is None or (dot and epoch < 2) else Seen(version, epoch)


def _number(digits: bytes) -> int | None:
    return int(digits) if digits.isdigit() and len(digits) <= 19 and int(digits) <= MAX_SEQ else None


def refuse_if_match(call: Call) -> None:
    """Raise BadInput: a precondition that is not checked must not be ignored."""
    if b"if-match" in call.headers:
        raise BadInput("If-Match is honoured on changes of a task only.", parameter="If-Match")
