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
from api.markup import HTML, HTML_UTF8, document, policy
from api.paths import DEV_MAIL
from api.problems import NoSuchPath
from streams.mail.delivery import MailboxMail

if TYPE_CHECKING:
    from api.services import Services

__all__ = ["register"]


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
        return Response(200, [NO_STORE, policy()], Content(HTML_UTF8, _page(found).encode()))

    router.add_get(DEV_MAIL, mails)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _page(mails: Sequence[MailboxMail]) -> str:
    shown = "\n".join(map(_mail, mails)) or '<p class="help">No mail yet.</p>'
    intro = '<p class="help">No mail server is set, so mails end here: the newest 200, on this machine only.</p>'
    return document("Dev mailbox", f"{intro}{shown}")


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
