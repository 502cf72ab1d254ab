"""What each user wants to be told, and how: of every kind and channel in `core/notices.py` one switch.

Only what a user has switched is stored. Three switches are columns of the account (`mail` of `/v1/me`), the others are
rows.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.notices import DEFAULTS, Channel, NoticeKind, Switch
from db.transaction import Reading, Writing

__all__ = ["DigestReader", "Preferences", "choose_in", "digest_readers", "preferences_of", "wants_mail"]

_COLUMNS: Final[Mapping[Switch, str]] = {
    ("digest.daily", "mail"): "mail_digest",
    ("comment.mentioned", "mail"): "mail_mentions",
    ("task.assigned", "mail"): "mail_assignments",
}


class Preferences(Struct, frozen=True):
    """Every switch that there is, and the hour (0 to 23) of the user's day at which they get what comes daily."""

    switches: Mapping[Switch, bool]
    digest_hour: int

    def wants(self, kind: NoticeKind, channel: Channel) -> bool:
        """Whether the user wants it there; False where it never goes that way."""
        return self.switches.get((kind, channel), False)


class DigestReader(Struct, frozen=True):
    """A user who wants the daily digest: at which hour of the day in their zone (IANA's name)."""

    user_id: UUID
    time_zone: str
    hour: int


async def preferences_of(tx: Reading, user_id: UUID) -> Preferences | None:
    """What the user wants; None when the account is gone. For the user's own transaction, or a worker's."""
    account = await tx.fetchrow(_ACCOUNT, user_id)
    if account is None:
        return None
    chosen = {(row["kind"], row["channel"]): row["wanted"] for row in await tx.fetch(_CHOSEN, user_id)}
    chosen |= {switch: account[column] for switch, column in _COLUMNS.items()}
    # A switch that a later version knows, or that is gone, is nobody's here.
    switches = {switch: chosen.get(switch, wanted) for switch, wanted in DEFAULTS.items()}
    return Preferences(switches, account["digest_hour"])


async def choose_in(
    tx: Writing, user_id: UUID, switches: Mapping[Switch, bool], *, digest_hour: int | None = None
) -> None:
    """Turn the switches that are named, and change the hour unless it is None, in a transaction of the user's."""
    for (kind, channel), wanted in switches.items():
        if (kind, channel) in _COLUMNS:
            await tx.execute(_SET_COLUMN[kind, channel], user_id, wanted)
        else:
            await tx.execute(_SET, user_id, kind, channel, wanted)
    if digest_hour is not None:
        await tx.execute(_SET_HOUR, user_id, digest_hour)


async def wants_mail(tx: Reading, user_id: UUID, kind: NoticeKind) -> bool:
    """Whether the user wants mails of this kind; False when the account is gone."""
    found = await preferences_of(tx, user_id)
    return found is not None and found.wants(kind, "mail")


async def digest_readers(tx: Reading, *, after: UUID | None = None, limit: int) -> Sequence[DigestReader]:
    """Who wants the daily digest and can be reached by mail, by their ids, from the one after `after` on.

    For a worker's transaction, which may read all users.
    """
    found = await tx.fetch(_DIGEST_READERS, after or UUID(int=0), limit)
    return [DigestReader(row["id"], row["time_zone"], row["digest_hour"]) for row in found]


_ACCOUNT: Final = f"""
select {", ".join(_COLUMNS.values())}, digest_hour from users where id = $1 and erased_at is null
"""  # noqa: S608 (columns of our own)
_CHOSEN: Final = "select kind, channel, wanted from notification_preferences where user_id = $1"
_SET: Final = """
insert into notification_preferences (user_id, kind, channel, wanted)
select id, $2, $3, $4 from users where id = $1 and erased_at is null
on conflict (user_id, kind, channel) do update set wanted = excluded.wanted
"""
_SET_COLUMN: Final = {
    switch: f"update users set {column} = $2, updated_at = now() where id = $1 and {column} <> $2"  # noqa: S608
    for switch, column in _COLUMNS.items()
}
_SET_HOUR: Final = "update users set digest_hour = $2, updated_at = now() where id = $1 and digest_hour <> $2"
_DIGEST_READERS: Final = """
select id, time_zone, digest_hour from users
where id > $1 and mail_digest and email is not null and erased_at is null
order by id limit $2
"""
