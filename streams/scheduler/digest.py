"""The daily overdue digest: at seven in the morning of each user's own clock, one mail, if anything is overdue to them.

Every minute looks where on earth it has become seven. A user's mark has the date of their morning, so that they get one
mail a day, also on the day on which they change their zone, and however often a span is fired. A scheduler that was
away makes up for mornings of the last twelve hours; a digest that is older than that is worth less than the next one.
"""

from datetime import time, timedelta
from typing import Final
from zoneinfo import available_timezones

from core.mornings import mornings
from core.rhythm import Rhythm, Span
from db import outbox, schedules
from db.digests import late_users
from db.schedules import Mark
from db.transaction import Writing
from db.zones import zone_named
from streams.mail.digest import PURPOSE
from streams.scheduler.schedules import Schedule

__all__ = ["AT", "NAME", "digest"]

NAME: Final = "digest"
AT: Final = time(7)
RHYTHM: Final = Rhythm(every=timedelta(minutes=1), catch_up="once", oldest=timedelta(hours=12))
SLICE: Final = 2_000
"""Users in one transaction."""


def digest(at: time = AT) -> Schedule:
    """The schedule, over all zones of the IANA database."""
    zones = [(name, zone_named(name)) for name in sorted(available_timezones())]

    async def fire(tx: Writing, span: Span) -> bool:
        days = mornings(span, at, zones)
        if not days:
            return True
        late = await late_users(tx, NAME, days, span.until, SLICE)
        marks = [Mark(one.user_id, one.day.isoformat()) for one in late]
        fresh = await schedules.mark(tx, NAME, marks)
        await outbox.put_all(tx, outbox.MAIL, PURPOSE, [mark.subject for mark in fresh])
        return len(late) < SLICE

    return Schedule(NAME, RHYTHM, fire)
