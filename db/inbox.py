"""The inbox: what a consumer has applied already.

An effect in the database and its row are one transaction. An effect elsewhere has its row before it: whoever is at it
claims the event for a while, and marks it as applied afterwards.
"""

from datetime import datetime
from typing import Final, Literal

from db.expressions import CLOCK, NOW, ago, both_in, limited
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, given, insert, values
from db.tables import Inbox
from db.transaction import Reading, Writing

__all__ = ["Claim", "claim", "forget_applied", "is_applied", "mark_applied", "record", "release"]

KEPT_DAYS: Final = 30
DAY_SECONDS: Final = 86_400.0

Claim = datetime | Literal["applied", "busy"]
"""Until when the event is claimed for the caller; or that there is nothing to claim: it is applied, or somebody else's
for now."""


async def record(tx: Writing, consumer: str, event_id: str) -> bool:
    """Note that `consumer` applies the event now; False when it has been applied before, so that nothing is to be done.

    A delivery of the same event that runs right now is waited for.
    """
    return await tx.run(_RECORD, consumer=consumer, event_id=event_id) == 1


async def claim(tx: Writing, consumer: str, event_id: str, seconds: float) -> Claim:
    """Claim the event for so many seconds from now, unless it is applied or claimed already."""
    until: datetime | None = await tx.fetchval(_CLAIM, consumer, event_id, seconds)
    if until is not None:
        return until
    return "applied" if await tx.one(_CLAIMED_UNTIL, consumer=consumer, event_id=event_id) is None else "busy"


async def is_applied(tx: Reading, consumer: str, event_id: str) -> bool:
    """Whether the event was applied, lately."""
    return await tx.one(_APPLIED, consumer=consumer, event_id=event_id) is not None


async def mark_applied(tx: Writing, consumer: str, event_id: str) -> None:
    """The effect of a claimed event has happened: nobody need claim it again."""
    await tx.run(_MARK_APPLIED, consumer=consumer, event_id=event_id)


async def release(tx: Writing, consumer: str, event_id: str, until: datetime) -> None:
    """Let the next delivery claim the event at once; nothing happens when the claim is somebody else's by now."""
    await tx.run(_RELEASE, consumer=consumer, event_id=event_id, until=until)


async def forget_applied(pool: Pool, *, days: int = KEPT_DAYS) -> int:
    """Delete rows older than `days`, a few thousand per transaction; how many. Runs as the worker role."""
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, seconds=days * DAY_SECONDS, limit=limit))


_RECORD: Final = change(
    insert(Inbox, consumer=given("consumer"), event_id=given("event_id"), at=NOW, claimed_until=None).on_conflict(
        action="DO NOTHING"
    )
)
# In SQL, as every claim. One that has run out is taken over; a row without one (null) is applied and matches nothing.
_CLAIM: Final = """
insert into inbox as i (consumer, event_id, claimed_until)
values ($1, $2, clock_timestamp() + make_interval(secs => $3))
on conflict (consumer, event_id) do update set claimed_until = excluded.claimed_until
where i.claimed_until <= clock_timestamp()
returning claimed_until
"""
_EVENT: Final = (Inbox.consumer == given("consumer"), Inbox.event_id == given("event_id"))
_APPLIED: Final = values(str, Inbox.select(Inbox.event_id).where(*_EVENT, Inbox.claimed_until.is_null()))
_CLAIMED_UNTIL: Final = values(datetime, Inbox.select(Inbox.claimed_until).where(*_EVENT))
_MARK_APPLIED: Final = change(Inbox.update({Inbox.claimed_until: None}).where(*_EVENT))
_RELEASE: Final = change(
    Inbox.update({Inbox.claimed_until: CLOCK}).where(*_EVENT, Inbox.claimed_until == given("until"))
)
_OLD: Final = Inbox.select(Inbox.consumer, Inbox.event_id).where(Inbox.at < ago(given("seconds")))
_FORGET: Final = change(Inbox.delete().where(both_in(Inbox.consumer, Inbox.event_id, limited(_OLD, given("limit")))))
