"""How a mail leaves: to an SMTP server, or into the dev mailbox where there is none."""

import os
import ssl
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
import anyio.to_thread
import msgspec
from msgspec import Struct

from streams.settings import MailSettings

__all__ = ["Delivery", "Mailbox", "MailboxMail", "Refused", "SmtpServer", "delivery_of", "mailbox_of"]

CONNECT_SECONDS: Final = 10.0
SEND_SECONDS: Final = 30.0
KEPT: Final = 200
PERMANENT: Final = range(500, 600)


class Refused(Exception):
    """The server will not take this mail, however often it is tried."""


class Delivery(Protocol):
    """Sends one mail; raises Refused when no further attempt can help, anything else when one may."""

    async def send(self, message: EmailMessage) -> None: ...


class SmtpServer:
    """A server to which each mail has a connection of its own: mails are few, and a kept one may be dead.

    `smtps` begins with TLS; `smtp` goes over to it (STARTTLS) before it logs in or sends anything, except on loopback,
    where it does so if the server offers it.
    """

    def __init__(self, url: str, *, trust: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "smtps"
        self._port = parts.port or (465 if self._tls else 587)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._loopback = self._host in {"localhost", "127.0.0.1", "::1"}
        self._trust = trust or ssl.create_default_context()

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user or None,
            password=self._password or None,
            use_tls=self._tls,
            start_tls=False if self._tls else None if self._loopback else True,
            tls_context=self._trust,
            timeout=CONNECT_SECONDS,
        )

    async def send(self, message: EmailMessage) -> None:
        """One attempt. A refusal of the mail itself (5xx) is final; of the login, and all else, is not."""
        try:
            with anyio.fail_after(SEND_SECONDS):
                async with self._client() as client:
                    await client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            if all(refused.code in PERMANENT for refused in error.recipients):
                raise Refused(_said(error.recipients[0])) from error
            raise
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError) as error:
            if error.code in PERMANENT:
                raise Refused(_said(error)) from error
            raise

    async def check(self) -> None:
        """Connect, and log in if there is a login. Raises what `aiosmtplib` or the network raises."""
        with anyio.fail_after(CONNECT_SECONDS):
            async with self._client() as client:
                await client.noop()


class MailboxMail(Struct, frozen=True):
    """A mail in the dev mailbox."""

    to: str
    subject: str
    text: str
    html: str
    at: datetime


class Mailbox:
    """A folder with a file for each mail, the newest 200: what would have been sent, for developers to look at.

    Its files hold tokens: only the user who runs TaskForge reads them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        """Keep it; twice the same mail is one file."""
        await anyio.to_thread.run_sync(self._keep, message)

    def _keep(self, message: EmailMessage) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        mail = MailboxMail(
            str(message["To"]),
            str(message["Subject"]),
            "" if text is None else text.get_content(),
            "" if html is None else html.get_content(),
            parsedate_to_datetime(str(message["Date"])),
        )
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]  # A UUIDv7: names sort by time.
        draft = self._folder / f".{name}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(mail))
        draft.replace(self._folder / f"{name}.json")
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)

    def read(self) -> Sequence[MailboxMail]:
        """All of them, newest first."""
        decode = msgspec.json.Decoder(MailboxMail).decode
        found = list[MailboxMail]()
        for file in self._files():
            try:
                found.append(decode(file.read_bytes()))
            except FileNotFoundError:  # It was the oldest one.
                continue
        return found

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"), reverse=True)


def mailbox_of(settings: MailSettings) -> Mailbox | None:
    """The dev mailbox, where mails go that no server takes."""
    return Mailbox(Path(settings.mailbox)) if settings.mailbox and not settings.url.reveal() else None


def delivery_of(settings: MailSettings) -> Delivery | None:
    """How mails leave; None when there is neither a server nor a mailbox, and they become dead letters."""
    return SmtpServer(settings.url.reveal()) if settings.url.reveal() else mailbox_of(settings)


def _said(error: aiosmtplib.SMTPResponseException) -> str:
    """The server's refusal without what it may quote of the mail."""
    return f"the mail server refused with {error.code}"
