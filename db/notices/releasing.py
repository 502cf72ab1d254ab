"""Mails that collect notifications leave: their rows go, and their jobs are put into the outbox, in one transaction.

What leaves together (`core/mail_pace.py`) becomes one mail under a new id, a UUIDv7 whose time is that of leaving: so
the notifications themselves say how many mails somebody had of late.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

from core.mail_pace import Leaving, Waiting, leaving
from core.notices import LISTED
from db import outbox
from db.ids import first_at, id_at, made_at
from db.transaction import Reading, Writing

__all__ = ["PURPOSE", "WINDOW", "release"]

PURPOSE: Final = "notices"
"""Of the mail's job, whose subject is the id of the mail."""
WINDOW: Final = timedelta(minutes=15)
"""In which nobody gets more than a few mails of notifications (`MOST` of `core/mail_pace.py`)."""


async def release(tx: Writing, now: datetime, *, limit: int, window: timedelta = WINDOW) -> int:
    """Have at most `limit` mails whose time has come, and what goes along with them, leave once `tx` commits.

    `tx` is a worker's. How many left; zero, too, while another worker is at it: two would send apart what belongs
    together.
    """
    if not await tx.fetchval(_ALONE):
        return 0
    waiting = await tx.fetch(_WAITING, now, limit, list(LISTED))
    people = {user_id: [_waiting(row) for row in rows] for user_id, rows in groupby(waiting, key=lambda row: row[0])}
    left = await _left(tx, list(people), now - window)
    found = [leaving(some, left.get(user_id, ()), now, window) for user_id, some in people.items()]
    await _hold(tx, found)
    return await _send(tx, [mail for one in found for mail in one.mails], now)


async def _left(tx: Reading, users: Sequence[UUID], since: datetime) -> Mapping[UUID, Sequence[datetime]]:
    """When mails of notifications have left for these users, later than `since`."""
    rows = await tx.fetch(_LEFT, users, first_at(since))
    return {row["user_id"]: [at for one in row["mails"] if (at := made_at(one)) > since] for row in rows}


async def _hold(tx: Writing, found: Sequence[Leaving]) -> None:
    await tx.executemany(_HOLD, [(mail.team_id, mail.id, one.until) for one in found for mail in one.held])


async def _send(tx: Writing, mails: Sequence[Sequence[Waiting]], now: datetime) -> int:
    ids = [id_at(now) for _ in mails]
    parts = [(one.team_id, one.id, mail_id) for mail_id, mail in zip(ids, mails, strict=True) for one in mail]
    await tx.executemany(_JOIN, [(old, mail_id) for _, old, mail_id in parts])
    await tx.executemany(_GONE, [(team_id, old) for team_id, old, _ in parts])
    await outbox.put_all(tx, outbox.MAIL, PURPOSE, ids)
    return len(ids)


def _waiting(row: Sequence[object]) -> Waiting:
    _, *fields = row
    return Waiting(*fields)  # type: ignore[arg-type]


_ALONE: Final = "select pg_try_advisory_xact_lock(hashtextextended('mails of notifications', 0))"
# Whoever adds to one of them right now has its row locked: that one waits for the next look.
_WAITING: Final = """
select m.user_id, m.id, m.team_id, m.leaves_at,
       not exists (select from notifications n where n.mail_id = m.id and n.kind <> all ($3::text[])) as listed
from notification_mails m
where m.user_id in (select user_id from notification_mails where leaves_at <= $1 order by leaves_at limit $2)
order by m.user_id for update of m skip locked
"""
_LEFT: Final = """
select n.user_id, array_agg(distinct n.mail_id) as mails from notifications n
where n.user_id = any ($1::uuid[]) and n.mail_id >= $2
  and not exists (select from notification_mails m where m.user_id = n.user_id and m.id = n.mail_id)
group by n.user_id
"""
_HOLD: Final = "update notification_mails set leaves_at = $3 where team_id = $1 and id = $2"
_JOIN: Final = "update notifications set mail_id = $2 where mail_id = $1"
_GONE: Final = "delete from notification_mails where team_id = $1 and id = $2"
