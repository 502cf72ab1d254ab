"""What each user wants to be told, and how: of every kind and channel in `core/notices.py` one switch.

Only what a user has switched is stored. Three switches are columns of the account (`mail` of `/v1/me`), the others are
rows.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.notices import DEFAULTS, Channel, NoticeKind, Switch
from db.people.mail_preferences import Preference, choose_mails_in
from db.people.mornings import move_morning
from db.transaction import Reading, Writing

__all__ = ["Preferences", "choose_in", "preferences_of", "wants_mail"]

_MAILS: Final[Mapping[Switch, Preference]] = {
    ("digest.daily", "mail"): "digest",
    ("comment.mentioned", "mail"): "mentions",
    ("task.assigned", "mail"): "assignments",
}
"""The switches that are columns of the account, by their names there."""


class Preferences(Struct, frozen=True):
    """Every switch that there is, and the hour (0 to 23) of the user's day at which they get what comes daily."""

    switches: Mapping[Switch, bool]
    digest_hour: int

    def wants(self, kind: NoticeKind, channel: Channel) -> bool:
        """Whether the user wants it there; False where it never goes that way."""
        return self.switches.get((kind, channel), False)


async def preferences_of(tx: Reading, user_id: UUID) -> Preferences | None:
    """What the user wants; None when the account is gone. For the user's own transaction, or a worker's."""
    account = await tx.fetchrow(_ACCOUNT, user_id)
    if account is None:
        return None
    chosen = {(row["kind"], row["channel"]): row["wanted"] for row in await tx.fetch(_CHOSEN, user_id)}
    chosen |= {switch: account[f"mail_{name}"] for switch, name in _MAILS.items()}
    # A switch that a later version knows, or that is gone, is nobody's here.
    switches = {switch: chosen.get(switch, wanted) for switch, wanted in DEFAULTS.items()}
    return Preferences(switches, account["digest_hour"])


async def choose_in(
    tx: Writing, user_id: UUID, switches: Mapping[Switch, bool], *, digest_hour: int | None = None
) -> None:
    """Turn the switches that are named, and change the hour unless it is None, in a transaction of the user's."""
    await choose_mails_in(tx, user_id, {_MAILS[one]: wanted for one, wanted in switches.items() if one in _MAILS})
    for (kind, channel), wanted in switches.items():
        if (kind, channel) not in _MAILS:
            await tx.execute(_SET, user_id, kind, channel, wanted)
    if digest_hour is not None:
        await move_morning(tx, user_id, digest_hour=digest_hour)


async def wants_mail(tx: Reading, user_id: UUID, kind: NoticeKind) -> bool:
    """Whether the user wants mails of this kind; False when the account is gone."""
    found = await preferences_of(tx, user_id)
    return found is not None and found.wants(kind, "mail")


_ACCOUNT: Final = f"""
select {", ".join(f"mail_{name}" for name in _MAILS.values())}, digest_hour from users
where id = $1 and erased_at is null
"""  # noqa: S608 (columns of our own)
_CHOSEN: Final = "select kind, channel, wanted from notification_preferences where user_id = $1"
_SET: Final = """
insert into notification_preferences (user_id, kind, channel, wanted)
select id, $2, $3, $4 from users where id = $1 and erased_at is null
on conflict (user_id, kind, channel) do update set wanted = excluded.wanted
"""
