"""What looks like a secret, masked wherever something is shown: in logs, and in what operators are told."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.secret import Secret

__all__ = ["MASK", "redact"]

MASK = "***"
SECRET_KEYS = re.compile(
    r"passw|secret|token|authorization|cookie|api_?key|private_?key|credential|(^|_)dsn$", re.IGNORECASE
)
URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@]*:)(?:[^\s/]+|[^\s@]+)@", re.IGNORECASE)
BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE)
# A JSON Web Token anywhere in a text: header and payload are base64url of `{"`.
JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# Our own API keys and refresh tokens.
OURS = re.compile(r"\btf[kr]_[A-Za-z0-9_-]{16,}")
ASSIGNED = re.compile(r"""\b(password|passwd|secret|token)(["']?\s*[=:]\s*["']?)[^\s"'&,;)]+""", re.IGNORECASE)
DEPTH = 6


def redact(value: Any, key: str = "", depth: int = 0) -> Any:
    """`value` without secrets: fields with a telling name are masked whole, texts lose what looks like a credential.

    Numbers stay, whatever their name: `prompt_tokens=12` is a count.
    """
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, Secret) or SECRET_KEYS.search(key):
        return MASK
    if isinstance(value, str):
        return _redact_text(value)
    if depth >= DEPTH:
        return _redact_text(str(value))
    if isinstance(value, Mapping):
        return {str(name): redact(inner, str(name), depth + 1) for name, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray | memoryview):
        return [redact(inner, key, depth + 1) for inner in value]
    return _redact_text(str(value))


def _redact_text(text: str) -> str:
    if "://" in text:
        text = URL_PASSWORD.sub(rf"\1{MASK}@", text)
    text = BEARER.sub(rf"\1 {MASK}", text)
    text = OURS.sub(MASK, JWT.sub(MASK, text))
    return ASSIGNED.sub(rf"\1\2{MASK}", text)
