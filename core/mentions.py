"""Mentions: `@name` as people write it, `<@user-id>` as it is stored, and the current name wherever it is shown.

A mention is found when it is written, among the members that the team has then. A name is compared without regard to
case, and may have spaces: the longest name that fits is meant. The first words of a name are enough where they mean one
member only, and are nobody's whole name. A name that several members have stays text, unless the comment has mentioned
exactly one of them before. `\\@` is never a mention.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from core.comment import COMMENT_BYTES

__all__ = ["FORMER_MEMBER", "MENTION", "MOST_MENTIONS", "resolve", "with_names"]

MENTION: Final = re.compile(r"<@([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})>")
MOST_MENTIONS: Final = 50
"""Different people in one comment; whoever is named after them is not mentioned."""
LOOKED_AT: Final = 1_000
"""Occurrences of `@` that can be mentions: a text of 64 KiB of them must not hold the event loop."""
COMPARED: Final = 20_000
"""Characters that are compared with names, of all occurrences together, for the same reason."""
FORMER_MEMBER: Final = "Former member"
"""Somebody who is mentioned, and of whom no name is known any more."""

_MARKS: Final = re.compile(f"{MENTION.pattern}|@")


def with_names(body: str, mentions: Collection[UUID], names: Mapping[UUID, str]) -> str:
    """The text with the names of those who are mentioned, as the reader knows them."""

    def shown(found: re.Match[str]) -> str:
        user_id = UUID(found[1])
        return "@" + names.get(user_id, FORMER_MEMBER) if user_id in mentions else found[0]

    return MENTION.sub(shown, body) if mentions else body


def resolve(body: str, members: Mapping[UUID, str], before: Collection[UUID] = ()) -> tuple[str, tuple[UUID, ...]]:
    """The text as it is stored, and who is mentioned in it, each once, in their order.

    `members` are the names of those who can be mentioned, `before` are those whom the comment mentions already: they
    stay mentioned as `<@user-id>` also when they have left. The stored text never has more than 64 KiB: what would
    make it longer stays a name.
    """
    if "@" not in body:
        return body, ()
    resolving = _Resolving(body, members, before)
    return resolving.run(), tuple(resolving.mentioned)


class _Resolving:
    """One pass over a text, from left to right."""

    def __init__(self, body: str, members: Mapping[UUID, str], before: Collection[UUID]) -> None:
        self._body, self._members, self._before = body, members, before
        self._names = _by_name(members)
        self._parts = _by_first_words(members)
        self._sorted = sorted(self._names)
        self._room = COMMENT_BYTES - len(body.encode())
        self._looks, self._compared = LOOKED_AT, 0
        self.mentioned: dict[UUID, None] = {}

    def run(self) -> str:
        parts, after = list[str](), 0
        while self._looks and self._compared < COMPARED and (found := _MARKS.search(self._body, after)) is not None:
            self._looks -= 1
            parts.append(self._body[after : found.start()])
            written, after = self._at(found)
            parts.append(written)
        return "".join([*parts, self._body[after:]])

    def _at(self, found: re.Match[str]) -> tuple[str, int]:
        """What is stored for a mark, and where the text goes on after it."""
        if found[1] is not None:
            user_id = UUID(found[1])
            if user_id in self._members or user_id in self._before:
                self._takes(user_id, 0)
            return found[0], found.end()
        match = self._named(found.end()) if _may_begin(self._body, found.start()) else None
        if match is not None:
            user_id, end = match
            stored = f"<@{user_id}>"
            if self._takes(user_id, len(stored) - len(self._body[found.start() : end].encode())):
                return stored, end
        return "@", found.end()

    def _takes(self, user_id: UUID, more: int) -> bool:
        """Whether one more mention fits, which makes the text so many bytes longer."""
        if more > self._room or (user_id not in self.mentioned and len(self.mentioned) >= MOST_MENTIONS):
            return False
        self._room -= more
        self.mentioned[user_id] = None
        return True

    def _named(self, start: int) -> tuple[UUID, int] | None:
        """The member whose name stands at a place of the text, and where it ends."""
        longest: tuple[Collection[UUID], int] | None = None
        folded, end = "", start
        while end < len(self._body) and self._begins(folded):
            # A letter with its marks, which only together have one form.
            after = end + 1
            while after < len(self._body) and unicodedata.combining(self._body[after]):
                after += 1
            folded, end = folded + _folded(self._body[end:after]), after
            if _is_of_word(self._body[end : end + 1]):
                continue
            if folded in self._names:
                longest = self._names[folded], end
            elif self._one_of(meant := self._parts.get(folded, ())) is not None:
                longest = meant, end
        self._compared += end - start
        if longest is None or (user_id := self._one_of(longest[0])) is None:
            return None
        return user_id, longest[1]

    def _begins(self, folded: str) -> bool:
        """Whether any name begins so."""
        place = bisect_left(self._sorted, folded)
        return place < len(self._sorted) and self._sorted[place].startswith(folded)

    def _one_of(self, meant: Collection[UUID]) -> UUID | None:
        """Who is meant by a name: its only bearer, or the only one who was mentioned before."""
        known = meant if len(meant) == 1 else [user_id for user_id in meant if user_id in self._before]
        return next(iter(known)) if len(known) == 1 else None


def _by_name(members: Mapping[UUID, str]) -> dict[str, list[UUID]]:
    found: dict[str, list[UUID]] = {}
    for user_id, name in members.items():
        if folded := _folded(name).strip():
            found.setdefault(folded, []).append(user_id)
    return found


def _by_first_words(members: Mapping[UUID, str]) -> dict[str, list[UUID]]:
    """Whom the first words of names may mean, by those words; whole names are not among them."""
    found: dict[str, list[UUID]] = {}
    for user_id, name in members.items():
        folded = _folded(name).strip()
        for gap in re.finditer(r"\s+", folded):
            found.setdefault(folded[: gap.start()], []).append(user_id)
    return found


def _folded(text: str) -> str:
    """Equal for names that differ in case only, or in how their accents are written."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def _may_begin(body: str, at: int) -> bool:
    """Not within a word, as in an address, and not after a backslash."""
    before = body[at - 1 : at]
    return not _is_of_word(before) and before not in {"\\", "@"}


def _is_of_word(character: str) -> bool:
    return character.isalnum() or character == "_" or (character != "" and unicodedata.combining(character) > 0)
