"""When a user's morning is, by which they get what comes once a day: the hour that they have chosen, in their zone.

Whoever moves it could lose a morning: at noon from six in the evening to seven in the morning. So what it was is kept
for each schedule that follows mornings, until that has looked: it compares both clocks, and makes up for what is left
out.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.transaction import Writing

__all__ = ["FOLLOWERS", "Moved", "move_morning", "take_moved"]

FOLLOWERS: Final = ("digest", "due")
"""The schedules that follow mornings, by their names."""


class Moved(Struct, frozen=True):
    """A user whose morning was at `digest_hour` in `time_zone` when the schedule looked last; and where it is now."""

    user_id: UUID
    time_zone: str
    digest_hour: int
    new_zone: str
    new_hour: int


async def move_morning(
    tx: Writing, user_id: UUID, *, time_zone: str | None = None, digest_hour: int | None = None
) -> None:
    """Change the user's zone and hour (None: leave it) inside a transaction of theirs, and note what they were."""
    await tx.execute(_MOVE, user_id, time_zone, digest_hour, list(FOLLOWERS))


async def take_moved(tx: Writing, schedule: str, limit: int) -> Sequence[Moved]:
    """At most `limit` users who have moved their morning since the schedule looked, and their notes are gone with it.

    For the transaction, a worker's, of a firing. Ask it after all that is found by the mornings of today: whoever moves
    theirs in between is then found twice instead of never.
    """
    return [Moved(**row) for row in await tx.fetch(_TAKE, schedule, limit)]


# The first note stays: the schedule has seen nothing of what was between that and today.
_MOVE: Final = """
with before as (
    select id, time_zone, digest_hour from users
    where id = $1 and erased_at is null
      and (time_zone, digest_hour) <> (coalesce($2, time_zone), coalesce($3, digest_hour))
    for update
), noted as (
    insert into moved_mornings (user_id, schedule, time_zone, digest_hour)
    select b.id, s.schedule, b.time_zone, b.digest_hour from before b cross join unnest($4::text[]) s (schedule)
    on conflict (user_id, schedule) do nothing
)
update users u
set time_zone = coalesce($2, u.time_zone), digest_hour = coalesce($3, u.digest_hour), updated_at = now()
from before b where u.id = b.id
"""
_TAKE: Final = """
delete from moved_mornings m using users u
where m.schedule = $1 and u.id = m.user_id and m.user_id in (
    select user_id from moved_mornings where schedule = $1 order by user_id limit $2
)
returning m.user_id, m.time_zone, m.digest_hour, u.time_zone as new_zone, u.digest_hour as new_hour
"""
