"""Which mails of notifications leave together, and how many a person gets within a time: pure.

Mails that only list (tasks that became somebody's, reminders, reports) leave as one of their team, also those that
would have waited a little longer. A conversation about a task is a mail of its own. Nobody gets more than three within
the window: where that is too little, all that is due in a team goes together, and what is left waits.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

from msgspec import Struct

__all__ = ["MOST", "Leaving", "Waiting", "leaving"]

MOST: Final = 3
"""Mails of notifications to one person within the window."""


class Waiting(Struct, frozen=True):
    """A mail that collects. `listed` says that all it has are kinds of which several make a list."""

    id: UUID
    team_id: UUID
    leaves_at: datetime
    listed: bool


class Leaving(Struct, frozen=True):
    """What leaves now: each of `mails` is made of those that waited. What is `held` waits until then."""

    mails: Sequence[Sequence[Waiting]] = ()
    held: Sequence[Waiting] = ()
    until: datetime | None = None


def leaving(waiting: Collection[Waiting], left: Collection[datetime], now: datetime, window: timedelta) -> Leaving:
    """Of the mails that wait for one person; `left` are the moments within the window at which others have left."""
    due = sorted((one for one in waiting if one.leaves_at <= now), key=lambda one: (one.team_id, one.leaves_at, one.id))
    room = max(0, MOST - len(left)) if window else len(due)
    mails = _apart(due, waiting, now)
    if len(mails) > room:
        mails = _by_team(due, waiting, now)
    going, stays = mails[:room], mails[room:]
    if not stays:
        return Leaving(going)
    last = sorted([*left, *[now] * len(going)])[-MOST]
    return Leaving(going, [one for mail in stays for one in mail], last + window)


def _apart(due: Sequence[Waiting], waiting: Collection[Waiting], now: datetime) -> list[list[Waiting]]:
    mails = list[list[Waiting]]()
    for team_id, found in groupby(due, key=lambda one: one.team_id):
        some = list(found)
        mails += [[one] for one in some if not one.listed]
        if listed := [one for one in some if one.listed]:
            mails.append(listed + _along(team_id, waiting, now))
    return mails


def _by_team(due: Sequence[Waiting], waiting: Collection[Waiting], now: datetime) -> list[list[Waiting]]:
    return [list(some) + _along(team_id, waiting, now) for team_id, some in groupby(due, key=lambda one: one.team_id)]


def _along(team_id: UUID, waiting: Collection[Waiting], now: datetime) -> list[Waiting]:
    """What is not due yet, and goes with a list of the same team."""
    return [one for one in waiting if one.team_id == team_id and one.listed and one.leaves_at > now]
