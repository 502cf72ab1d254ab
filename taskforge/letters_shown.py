"""Dead letters as people and programs see them: without secrets, without what a terminal or a page would obey."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from core.secret import Secret
from streams.dead_letters.letters import DeadLetter
from streams.dead_letters.replaying import VERDICTS, Judged
from taskforge.masking import MASK, redact
from taskforge.settings import Settings

__all__ = ["LetterView"]

LEAST_SECRET: Final = 6
"""Shorter texts are no secrets, and would be found in every other word."""
LONGEST_CONTENT: Final = 64 * 1024


class LetterView:
    """What may be shown of letters, given what is secret here."""

    def __init__(self, settings: Settings) -> None:
        found = {text for secret in _secrets(settings) for text in _forms(secret) if len(text) >= LEAST_SECRET}
        self._secrets = sorted(found, key=len, reverse=True)

    def summary(self, one: Judged) -> dict[str, Any]:
        """All about the letter but what it says, as JSON has it."""
        letter = one.letter
        return {
            "id": letter.id,
            "consumer": letter.consumer,
            "status": one.verdict,
            "at": letter.at.isoformat(timespec="milliseconds"),
            "first_failure": letter.first_at.isoformat(timespec="milliseconds"),
            "attempts": letter.attempts,
            "error_class": self.text(letter.error_class),
            "error": self.text(letter.error),
            "kind": self.text(letter.kind),
            "team": letter.team or None,
            "event_id": self.text(letter.event_id) or None,
            "topic": self.text(letter.topic),
            "source": letter.source,
            "bytes": letter.cut or len(letter.record.value or b""),
            "replayed": None if one.mark is None else {"at": one.mark.at.isoformat(), "who": self.text(one.mark.who)},
        }

    def details(self, one: Judged) -> dict[str, Any]:
        """The summary, what becomes of the letter, its key and its headers."""
        record = one.letter.record
        headers = [[self.text(name), self._bytes(value or b"", 500)] for name, value in record.headers]
        return {
            **self.summary(one),
            "outlook": VERDICTS[one.verdict],
            "key": self._bytes(record.key or b"", 500),
            "headers": headers,
        }

    def content(self, letter: DeadLetter) -> Any:
        """What it says: as JSON where it is that, else as text with all that cannot be printed escaped."""
        value = letter.record.value or b""
        if len(value) <= LONGEST_CONTENT:
            try:
                return self._masked(redact(msgspec.json.decode(value)))
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                return self._bytes(value, LONGEST_CONTENT)
        return self._bytes(value, LONGEST_CONTENT)

    def text(self, text: str) -> str:
        """One line that is safe to print."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return "".join(sign if sign.isprintable() else _escaped(sign) for sign in str(redact(text)))

    def _bytes(self, value: bytes, longest: int) -> str:
        shown = self.text(value[:longest].decode("utf-8", "backslashreplace"))
        return shown if len(value) <= longest else f"{shown} … and {len(value) - longest} more bytes"

    def _masked(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(str(name)): self._masked(inner) for name, inner in value.items()}
            case list():
                return [self._masked(inner) for inner in value]
            case _:
                return value


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def _secrets(value: object) -> Iterator[str]:
    match value:
        case Secret():
            yield value.reveal()
        case Struct():
            for name in value.__struct_fields__:
                yield from _secrets(getattr(value, name))
        case tuple() | list():
            for inner in value:
                yield from _secrets(inner)


def _forms(secret: str) -> Iterator[str]:
    """The secret itself, and the password where it is a URL."""
    yield secret
    try:
        yield urlsplit(secret).password or ""
    except ValueError:
        return
