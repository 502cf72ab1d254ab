"""What the daily digest says: the tasks that are overdue to somebody, by team, with links to their boards."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from core.notice_words import due_in_words
from db.digests import LateTask, late_tasks_of
from db.ids import made_at
from db.people.recipients import recipient
from db.transaction import Reading
from db.zones import zone_named
from streams.mail.messages import Letter
from streams.pages import board_page, task_page

__all__ = ["OLDEST", "PURPOSE", "digest_letter"]

PURPOSE: Final = "digest"
"""What a mail job says it is for; its subject is a user."""
LISTED: Final = 50
"""Most tasks that one mail lists; it says how many more there are."""
OLDEST: Final = timedelta(hours=12)
"""A digest that is older when it could leave, because the broker or the mail server was away, leaves no more: the next
one says the same and more, and nobody wants those of several mornings at once."""


async def digest_letter(tx: Reading, job_id: UUID, user_id: UUID, site: str, now: datetime) -> Letter | None:
    """The digest as of when it was asked for, with what is known now.

    None when nothing is overdue any more, and when it was asked for too long ago.
    """
    found = await recipient(tx, user_id)
    if found is None or made_at(job_id) <= now - OLDEST:
        return None
    count, tasks = await late_tasks_of(tx, user_id, made_at(job_id), LISTED)
    if not tasks:
        return None
    subject = "1 task is overdue" if count == 1 else f"{count} tasks are overdue"
    facts = {"count": count, "more": count - len(tasks), "teams": _by_team(tasks, found.time_zone, site)}
    return Letter(job_id, PURPOSE, found.email, found.name, subject, facts, user_id=user_id)


def _by_team(tasks: Sequence[LateTask], zone: str, site: str) -> list[dict[str, Any]]:
    return [
        {
            "name": group[0].team,
            "url": f"{site}{board_page(team_id)}",
            "tasks": [_shown(task, zone, site) for task in group],
        }
        for team_id, found in groupby(tasks, key=lambda task: task.team_id)
        if (group := list(found))
    ]


def _shown(task: LateTask, zone: str, site: str) -> dict[str, str]:
    """A date as the team has it, a moment by the clock of whoever reads it."""
    due = task.due_at or task.due_on
    assert due is not None, "what is overdue is due"
    url = f"{site}{task_page(task.team_id, task.id)}"
    return {"key": task.key, "title": task.title, "url": url, "due": due_in_words(due, zone_named(zone))}
