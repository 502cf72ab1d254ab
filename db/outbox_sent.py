"""What has left the outbox, kept for the case that the broker loses it before anybody is done with it.

A broker that has acknowledged a record may come back without its topics. So each row says which life of the broker it
was sent to, and goes back into the outbox when another one has begun. Whoever was done with it knows it by its id.
"""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from db.pool import Pool
from db.slices import delete_in_slices
from db.transaction import Writing

__all__ = ["KEPT_DAYS", "forget_sent", "give_back", "leave"]

KEPT_DAYS: Final = 14
"""As long as the topics of the outbox keep a record."""
DAY_SECONDS: Final = 86_400.0


async def leave(tx: Writing, ids: Sequence[UUID], life: str) -> None:
    """Take these rows out of the outbox; what was published, to this life of the broker, is kept here."""
    await tx.execute(_LEAVE, ids, life)


async def give_back(tx: Writing, life: str, limit: int) -> int:
    """Put what was sent to another life of the broker back into the outbox, to its old place; how many rows.

    At most `limit`, the oldest first. Whoever calls it holds the lock of who moves rows.
    """
    return await tx.execute(_GIVE_BACK, life, limit)


async def forget_sent(pool: Pool, consumers: Collection[str], *, days: int = KEPT_DAYS) -> int:
    """Delete what one of these consumers has applied by the inbox, and what was sent more than `days` ago; how many.

    `consumers` are those that mark what they apply. The job of any other one is kept until its time is up.
    """
    names, seconds = list(consumers), days * DAY_SECONDS
    return await delete_in_slices(pool, lambda tx, limit: tx.execute(_FORGET, names, seconds, limit))


_LEAVE: Final = """
with gone as (
    delete from outbox where id = any($1)
    returning position, id, topic, key, payload, discard, traceparent, created_at
)
insert into outbox_sent (position, id, topic, key, payload, traceparent, created_at, life, sent_at)
select position, id, topic, key, payload, traceparent, created_at, $2, now() from gone where not discard
"""
_GIVE_BACK: Final = """
with lost as (
    delete from outbox_sent
    where position in (select position from outbox_sent where life <> $1 order by position limit $2)
    returning position, id, topic, key, payload, traceparent, created_at
)
insert into outbox (id, position, topic, key, payload, discard, traceparent, created_at)
overriding system value
select id, position, topic, key, payload, false, traceparent, created_at from lost
"""
_FORGET: Final = """
delete from outbox_sent where position in (
    select s.position from outbox_sent s
    where s.sent_at < now() - make_interval(secs => $2)
       or exists (
           select from inbox i
           where i.consumer = any($1) and i.event_id = s.id::text and i.claimed_until is null
       )
    limit $3
)
"""
