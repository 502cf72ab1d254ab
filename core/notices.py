"""What people are notified of, and by which ways it reaches them: the one table of kinds and channels.

A kind stands in the inbox, in the account's preferences, in mails and in the links that switch mails off. What is not
said in a user's preferences is as this table has it.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

__all__ = ["DEFAULTS", "KINDS", "Channel", "Kind", "NoticeKind", "Switch", "said"]

NoticeKind = Literal[
    "comment.mentioned",
    "task.assigned",
    "comment.added",
    "task.due_soon",
    "task.overdue",
    "report.ready",
    "webhook.failing",
    "webhook.disabled",
    "team.invited",
    "digest.daily",
]
Channel = Literal["in_app", "mail"]
Switch = tuple[NoticeKind, Channel]


class Kind(Struct, frozen=True, kw_only=True):
    """`about` completes "You are told" and "You no longer get mails"; `sentence` says what happened.

    `in_app` and `mail` are whether a user who has chosen nothing wants it there; None where it never goes that way. One
    that `collects` waits a little for more about the same task, so that a burst is one mail.
    """

    about: str
    sentence: str = ""
    in_app: bool | None = True
    mail: bool | None = True
    collects: bool = False


KINDS: Final[Mapping[NoticeKind, Kind]] = {
    "comment.mentioned": Kind(
        about="when somebody mentions you", sentence="{actor} mentioned you in {task}.", collects=True
    ),
    "task.assigned": Kind(about="when a task becomes yours", sentence="{actor} assigned {task} to you.", collects=True),
    "comment.added": Kind(
        about="when somebody comments on a task of yours", sentence="{actor} commented on {task}.", collects=True
    ),
    "task.due_soon": Kind(about="before a task of yours is due", sentence="{task} is due soon.", collects=True),
    # The daily digest tells of these by mail, all at once.
    "task.overdue": Kind(
        about="when a task of yours is overdue", sentence="{task} is overdue.", mail=False, collects=True
    ),
    "report.ready": Kind(about="when a report that you asked for is ready", sentence="Your report is ready."),
    "webhook.failing": Kind(
        about="when a webhook of your team has failed for a day",
        sentence="A webhook has failed for a day; after five it is switched off.",
    ),
    "webhook.disabled": Kind(
        about="when a webhook of your team is switched off",
        sentence="A webhook was switched off: its endpoint took nothing any more.",
    ),
    # Whoever is invited is no member yet, and has no inbox for the team: the mail is all there is.
    "team.invited": Kind(about="when somebody invites you to a team", in_app=None),
    "digest.daily": Kind(about="in the morning, about what is overdue", in_app=None),
}
"""In the order of how much they matter: of several about one task, the first names the mail."""


_SENTENCES: Final[Mapping[str, str]] = {name: kind.sentence for name, kind in KINDS.items()}
_IN_APP: Final[Mapping[Switch, bool | None]] = {(name, "in_app"): kind.in_app for name, kind in KINDS.items()}
_MAIL: Final[Mapping[Switch, bool | None]] = {(name, "mail"): kind.mail for name, kind in KINDS.items()}
DEFAULTS: Final[Mapping[Switch, bool]] = {
    switch: wanted for switch, wanted in {**_IN_APP, **_MAIL}.items() if wanted is not None
}
"""Every switch that there is, and whether somebody who has chosen nothing wants it."""


def said(kind: str, actor: str, data: Mapping[str, Any]) -> str:
    """What happened, in one sentence: `data` has the `key` and `title` of the task, where it is about one.

    A kind that this version does not know, left by a later one, is named.
    """
    sentence = _SENTENCES.get(kind, f"{kind}.")
    return sentence.format(actor=actor or "Somebody", task=f"{data.get('key', '')} “{data.get('title', '')}”")
