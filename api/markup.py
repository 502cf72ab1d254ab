"""A page that is written here rather than by a script: what stands around it, and what it may do."""

import html
from typing import Final, Literal

from api.answers import Header

__all__ = ["HTML", "HTML_UTF8", "document", "policy"]

HTML: Final = b"text/html"
HTML_UTF8: Final = b"text/html; charset=utf-8"
_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action '%s'; frame-ancestors 'none'"
)


def policy(forms: Literal["none", "self"] = "none") -> Header:
    """The Content-Security-Policy: our styles and images, no script; forms go nowhere, or to ourselves."""
    return (b"content-security-policy", _POLICY % forms.encode())


def document(title: str, content: str) -> str:
    """The whole page. `title` is text, `content` markup, in which every text is escaped already."""
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name} · TaskForge</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="/assets/board/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/assets/board/board.css"></head><body class="letters"><main>'
        '<h1 class="brand"><img src="/assets/board/icon.svg" alt="" width="36" height="36">'
        f"{name}</h1>{content}</main></body></html>"
    )
