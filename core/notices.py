"""What people are notified of, and by which ways it reaches them: the one table of kinds and channels.

A kind stands in the inbox, in the account's preferences, in mails and in the links that switch mails off. What is not
said in a user's preferences is as this table has it.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

__all__ = ["DEFAULTS", "KINDS", "LISTED", "Channel", "Kind", "NoticeKind", "Switch"]

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
    """`about` completes "You are told" and "You no longer get mails".

    `in_app` and `mail` are whether a user who has chosen nothing wants it there; None where it never goes that way. One
    that `collects` waits a little for more about the same thing, so that a burst is one mail. Several that are `listed`
    leave as one mail with a list, whatever they are about.
    """

    about: str
    in_app: bool | None = True
    mail: bool | None = True
    collects: bool = False
    listed: bool = True


KINDS: Final[Mapping[NoticeKind, Kind]] = {
    "comment.mentioned": Kind(about="when somebody mentions you", collects=True, listed=False),
    "task.assigned": Kind(about="when a task becomes yours", collects=True),
    "comment.added": Kind(about="when somebody comments on a task of yours", collects=True, listed=False),
    "task.due_soon": Kind(about="before a task of yours is due", collects=True),
    # The daily digest tells of these by mail, all at once.
    "task.overdue": Kind(about="when a task of yours is overdue", mail=False, collects=True),
    "report.ready": Kind(about="when a report that you asked for is ready", collects=True),
    "webhook.failing": Kind(about="when a webhook of your team has failed for a day"),
    "webhook.disabled": Kind(about="when a webhook of your team is switched off"),
    # Whoever is invited is no member yet, and has no inbox for the team: the mail is all there is.
    "team.invited": Kind(about="when somebody invites you to a team", in_app=None),
    "digest.daily": Kind(about="in the morning, about what is overdue", in_app=None),
}
"""In the order of how much they matter: of several in one mail, the first names it."""
LISTED: Final = frozenset(name for name, kind in KINDS.items() if kind.listed)


_IN_APP: Final[Mapping[Switch, bool | None]] = {(name, "in_app"): kind.in_app for name, kind in KINDS.items()}
_MAIL: Final[Mapping[Switch, bool | None]] = {(name, "mail"): kind.mail for name, kind in KINDS.items()}
DEFAULTS: Final[Mapping[Switch, bool]] = {
    switch: wanted for switch, wanted in {**_IN_APP, **_MAIL}.items() if wanted is not None
}
"""Every switch that there is, and whether somebody who has chosen nothing wants it."""
