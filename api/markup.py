"""A page that is written here rather than by a script: what stands around it, and what it may do."""

import html
from collections.abc import Sequence
from typing import Final, Literal

__all__ = ["HTML", "HTML_UTF8", "document", "policy"]

HTML: Final = b"text/html"
HTML_UTF8: Final = b"text/html; charset=utf-8"
_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action '%s'; frame-ancestors 'none'"
)


def policy(forms: Literal["none", "self"] = "none") -> tuple[bytes, bytes]:
    """The Content-Security-Policy: our styles and images, no script; forms go nowhere, or to ourselves."""
    return (b"content-security-policy", _POLICY % forms.encode())


def document(title: str, content: str, *, styles: Sequence[str] = (), body: str = "letters") -> str:
    """The whole page. `title` is text, `content` markup, in which every text is escaped already.

    `styles` are the paths of further style sheets, `body` the page's classes.
    """
    name = html.escape(title)
    sheets = "".join(f'<link rel="stylesheet" href="{path}">' for path in ("/assets/board/board.css", *styles))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name} · TaskForge</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="/assets/board/icon.svg" type="image/svg+xml">'
        f'{sheets}</head><body class="{body}"><main>'
        '<h1 class="brand"><img src="/assets/board/icon.svg" alt="" width="36" height="36">'
        f"{name}</h1>{content}</main></body></html>"
    )
