"""The daily overdue digest: one mail in the morning of each user's own clock, if anything is overdue to them.

The morning is the hour that the user has chosen (`users.digest_hour`, seven for those who have not). Every minute looks
where on earth which hour has come. A user's mark has the date of their morning: they get one mail a day, however often
a span is fired, and on the day, too, on which they move their morning by its hour or by their zone. A morning that such
a move would leave out is made up for at once. A scheduler that was away makes up for mornings of the last twelve hours;
a digest that is older than that is worth less than the next one.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from core.rhythm import Rhythm, Span
from db import outbox, schedules
from db.digests import Morning, late_among, late_users
from db.people.mornings import take_moved
from db.schedules import Mark
from db.transaction import Writing
from streams.mail.digest import OLDEST, PURPOSE
from streams.scheduler.mornings import all_hours, missed_morning
from streams.scheduler.schedules import Schedule

__all__ = ["NAME", "digest"]

NAME: Final = "digest"
RHYTHM: Final = Rhythm(every=timedelta(minutes=1), catch_up="once", oldest=OLDEST)
SLICE: Final = 2_000
"""Users in one transaction."""


def digest() -> Schedule:
    """The schedule, over all users."""
    return Schedule(NAME, RHYTHM, _fire)


async def _fire(tx: Writing, span: Span) -> bool:
    hours = await all_hours(span)
    late = await late_users(tx, NAME, hours, span.until, SLICE) if hours else ()
    await _ask_for(tx, late)
    moved = await take_moved(tx, NAME, SLICE)
    found = [(one.user_id, missed_morning(one, span, OLDEST)) for one in moved]
    if missed := [Morning(user_id, day) for user_id, day in found if day is not None]:
        await _ask_for(tx, await late_among(tx, NAME, missed, span.until, SLICE))
    return len(late) < SLICE and len(moved) < SLICE


async def _ask_for(tx: Writing, mornings: Sequence[Morning]) -> None:
    if not mornings:
        return
    marks = [Mark(one.user_id, one.day.isoformat()) for one in mornings]
    fresh = await schedules.mark(tx, NAME, marks)
    await outbox.put_all(tx, outbox.MAIL, PURPOSE, [mark.subject for mark in fresh])
