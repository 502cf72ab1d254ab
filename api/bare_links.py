"""Addresses that stand in a text as they are (`https://…`, `www.…`, a mail address), as links of its Markdown.

A core rule of markdown-it's, over text alone: what is code, or in a link already, stays as it is. The end of an address
is found as in GitHub Flavored Markdown (its section 6.9): without the punctuation of the sentence around it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

__all__ = ["link_addresses"]

_WEB: Final = r"(?<![a-z0-9@/.-])(?:https?://(?=\w)|www\.(?=\w[\w-]{0,62}\.\w))[^\s<>\"]+"
_MAIL: Final = r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,63}(?![\w@-])"
_ADDRESS: Final = re.compile(f"{_WEB}|{_MAIL}", re.IGNORECASE)
_AFTER: Final = frozenset(
    ".,;:!?*_~'\u2019\u201d\u00bb\u2026\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f\u300b\u300d\u300f\u3011"
)
"""Punctuation, also of Chinese and Japanese, that belongs to the sentence where an address ends with it."""


def link_addresses(state: StateCore) -> None:
    """Put links around the addresses in every text of the document."""
    for block in state.tokens:
        if block.type == "inline" and block.children:
            block.children = list(_linked(state, block.children))


def _linked(state: StateCore, tokens: Sequence[Token]) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type == "text" and depth == 0:
            yield from _pieces(state, token)
        else:
            yield token


def _pieces(state: StateCore, token: Token) -> Iterator[Token]:
    text, done = token.content, 0
    for found in _ADDRESS.finditer(text):
        address = text[found.start() : _end(text, found.start(), found.end())]
        href = state.md.normalizeLink(_target(address))
        if not state.md.validateLink(href):
            continue
        yield _text(text[done : found.start()], token.level)
        yield Token("link_open", "a", 1, attrs={"href": href}, level=token.level)
        yield _text(address, token.level + 1)
        yield Token("link_close", "a", -1, level=token.level)
        done = found.start() + len(address)
    yield _text(text[done:], token.level)


def _target(address: str) -> str:
    lower = address.lower()
    if lower.startswith(("http://", "https://")):
        return address
    return f"http://{address}" if lower.startswith("www.") else f"mailto:{address}"


def _end(text: str, start: int, end: int) -> int:
    """Where the address ends: before punctuation, and before a bracket that it has not opened itself."""
    unopened = text.count(")", start, end) - text.count("(", start, end)
    while end > start and (text[end - 1] in _AFTER or (text[end - 1] == ")" and unopened > 0)):
        unopened -= text[end - 1] == ")"
        end -= 1
    return end


def _text(content: str, level: int) -> Token:
    return Token("text", "", 0, content=content, level=level)
