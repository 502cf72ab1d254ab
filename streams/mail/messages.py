"""What a mail says. The same job always gives the same bytes, so that one that is sent twice is seen to be the same."""

import hashlib
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import idna
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from db.ids import made_at

__all__ = ["Letter", "compose"]

TEMPLATES: Final = Path(__file__).parent / "templates"
LONGEST_SUBJECT: Final = 200


class Letter(Struct, frozen=True):
    """A mail before it is written out: `template` names two files, of text and of HTML, which read `facts`.

    `user_id` is whose wish it depends on, `unsubscribe` the address that switches its kind off, and `about` says which
    that is; all are empty for a mail that always comes. Mails with the same `thread` are shown together by mailboxes.
    """

    job_id: UUID
    template: str
    email: str
    name: str
    subject: str
    facts: Mapping[str, Any]
    user_id: UUID | None = None
    unsubscribe: str = ""
    about: str = ""
    thread: str = ""


def compose(letter: Letter, sender: Address) -> EmailMessage:
    """The message, as text and as HTML (RFC 5322, RFC 2046), with one click to have no more of it (RFC 2369, RFC 8058).

    Its id and its time follow from the job's, a UUIDv7. Raises ValueError for an address that cannot stand in a header.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    try:
        message["To"] = Address(_line(letter.name), addr_spec=_mailable(letter.email))
    except HeaderParseError as error:
        raise ValueError("no mail address") from error
    message["Subject"] = _line(letter.subject)[:LONGEST_SUBJECT]
    message["Date"] = format_datetime(made_at(letter.job_id).replace(microsecond=0))
    message["Message-ID"] = f"<{letter.job_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it.
    if letter.unsubscribe:
        message["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
        if letter.unsubscribe.startswith("https:"):  # RFC 8058 knows no other.
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if letter.thread:  # RFC 5322: the first of them is a mail that never was.
        message["References"] = f"<{letter.thread}@{sender.domain}>"
    said = {"subject": letter.subject, "unsubscribe": letter.unsubscribe, "about": letter.about}
    facts = {**letter.facts, "name": letter.name, **said}
    text = _templates().get_template(f"{letter.template}.txt").render(facts)
    message.set_content(text + _way_out(letter))
    message.add_alternative(_templates().get_template(f"{letter.template}.html").render(facts), subtype="html")
    message.set_boundary(hashlib.sha256(letter.job_id.bytes).hexdigest()[:40])
    return message


def _way_out(letter: Letter) -> str:
    """At the foot of the text, unless the letter has its own."""
    return (
        ""
        if "ways_out" in letter.facts
        else _templates().get_template("unsubscribe.txt").render(unsubscribe=letter.unsubscribe, about=letter.about)
    )


def _mailable(address: str) -> str:
    """With its domain in the letters that every mail server takes (an A-label, RFC 5890); we keep it in its own."""
    local, _, domain = address.rpartition("@")
    try:
        return address if domain.isascii() else f"{local}@{idna.encode(domain).decode('ascii')}"
    except idna.IDNAError:
        return address


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def _line(text: str) -> str:
    """On one line, and without what only steers a terminal: a header ends where its line does.

    Nor with what looks like an encoded word (RFC 2047): the library decodes it, line ends and all.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line.replace("=?", "= ?")
