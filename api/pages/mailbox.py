"""The dev mailbox at `/dev/mail`: the mails that no server was set for. On loopback only."""

import html
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from blacksheep import Content, Request, Response, Router
from msgspec import Struct

from api import accept
from api.answers import NO_STORE, json
from api.calls import call_of
from api.pages.board import TYPES
from api.paths import DEV_MAIL
from api.problems import NoSuchPath
from streams.mail.delivery import MailboxMail

if TYPE_CHECKING:
    from api.services import Services

__all__ = ["register"]

HTML = b"text/html"
POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Mails(Struct, frozen=True):
    """What is in the mailbox, newest first."""

    items: Sequence[MailboxMail]


def register(router: Router, services: "Services") -> None:
    """Serve the page where there is a mailbox."""
    mailbox = services.mailbox
    if mailbox is None:
        return

    async def mails(request: Request) -> Response:
        """The page, or JSON for who asks for it. Whoever is not on this machine finds nothing here."""
        call = call_of(request)
        if not _is_loopback(call.client):
            raise NoSuchPath
        found = await anyio.to_thread.run_sync(mailbox.read)
        if not accept.names(call.headers.get(b"accept", b""), HTML):
            return json(200, Mails(found), [NO_STORE])
        headers = [NO_STORE, (b"content-security-policy", POLICY)]
        return Response(200, headers, Content(TYPES[".html"], _page(found).encode()))

    router.add_get(DEV_MAIL, mails)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _page(mails: Sequence[MailboxMail]) -> str:
    shown = "\n".join(map(_mail, mails)) or '<p class="help">No mail yet.</p>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Dev mailbox · TaskForge</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="/assets/board/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/assets/board/board.css"></head><body class="letters"><main>'
        '<h1 class="brand"><img src="/assets/board/icon.svg" alt="" width="36" height="36">Dev mailbox</h1>'
        '<p class="help">No mail server is set, so mails end here: the newest 200, on this machine only.</p>'
        f"{shown}</main></body></html>"
    )


def _mail(mail: MailboxMail) -> str:
    """As text: nothing of a mail's own HTML is believed. Addresses of links become links."""
    to, subject, at = html.escape(mail.to), html.escape(mail.subject), html.escape(f"{mail.at:%Y-%m-%d %H:%M} UTC")
    return (
        f'<article class="letter"><h2>{subject}</h2><p class="help">to {to} · {at}</p>'
        f"<pre>{_linked(html.escape(mail.text))}</pre></article>"
    )


def _linked(text: str) -> str:
    words: list[Any] = []
    for line in text.split("\n"):
        url = line.rpartition(" ")[2]
        if url.startswith(("http://", "https://")):
            line = f'{line[: -len(url)]}<a href="{url}">{url}</a>'
        words.append(line)
    return "\n".join(words)
