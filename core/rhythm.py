"""When something that is done again and again is to be done next, and how it makes up for the times it was not.

A rhythm is a grid of moments in UTC, a fixed step apart and counted from 1970, so that every process has the same one.
What follows local clocks is not a rhythm of its own: it looks, at each step, which local moments the step has covered.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from msgspec import Struct

__all__ = ["CatchUp", "Rhythm", "Span", "next_span"]

CatchUp = Literal["once", "each", "skip"]
"""What becomes of steps that were missed while nobody was there. `once`: one firing covers them all. `each`: a firing
for every one of them, oldest first. `skip`: they are lost, and only the latest step is fired."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OLDEST: Final = timedelta(days=14)
"""Effects that reach people are worth nothing when they are older (`Consumers` in the semantics)."""


class Rhythm(Struct, frozen=True, kw_only=True):
    """A step, how missed ones are made up for, and how far back that reaches at most."""

    every: timedelta
    catch_up: CatchUp = "once"
    oldest: timedelta = OLDEST


class Span(NamedTuple):
    """What one firing covers: everything later than `after`, up to and including `until`. Both are UTC."""

    after: datetime
    until: datetime


def next_span(rhythm: Rhythm, fired_until: datetime, now: datetime) -> Span | None:
    """What the next firing covers when everything up to `fired_until` has been fired; None while nothing is due.

    Spans follow each other without gap or overlap, but for what `skip` or the limit of age leaves out.
    """
    latest = _step_before(rhythm, now)
    if latest <= fired_until:
        return None
    after = max(fired_until, _step_before(rhythm, latest - rhythm.oldest))
    if rhythm.catch_up == "each":
        return Span(after, _step_before(rhythm, after) + rhythm.every)
    if rhythm.catch_up == "skip":
        after = max(after, latest - rhythm.every)
    return Span(after, latest)


def _step_before(rhythm: Rhythm, moment: datetime) -> datetime:
    """The latest step that is no later than the moment."""
    return moment - (moment - EPOCH) % rhythm.every
