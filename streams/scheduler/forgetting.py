"""Has teams forgotten for good that were deleted 30 days ago: an operation for each, started once.

Every hour looks for all of them, so that a scheduler that was away has nothing to catch up.
"""

from datetime import timedelta
from typing import Final

from core.rhythm import Rhythm, Span
from db.offboarding import begin_forgetting
from db.transaction import Writing
from streams.operations.offboarding import TEAM_REDACTION
from streams.scheduler.schedules import Schedule

__all__ = ["NAME", "forgetting"]

NAME: Final = "forgetting"
RHYTHM: Final = Rhythm(every=timedelta(hours=1), catch_up="once")
SLICE: Final = 100
"""Teams in one transaction."""


def forgetting() -> Schedule:
    """The schedule over all deleted teams."""
    return Schedule(NAME, RHYTHM, _fire)


async def _fire(tx: Writing, span: Span) -> bool:
    due = await begin_forgetting(tx, span.until, SLICE)
    for deleted in due:
        await TEAM_REDACTION.start(tx, deleted.deleted_by, team_id=deleted.team_id)
    return len(due) < SLICE
