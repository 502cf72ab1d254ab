"""The schedules of this version, each with what it works with. Loaded by workers only."""

from collections.abc import Callable, Sequence
from typing import Final

from streams.scheduler.digest import digest
from streams.scheduler.due import due
from streams.scheduler.forgetting import forgetting
from streams.scheduler.recurrence import recurrence
from streams.scheduler.scheduler import Scheduler
from streams.scheduler.schedules import Schedule
from taskforge.parts.collecting import collecting_of
from taskforge.parts.composition import Composition
from taskforge.parts.work_samples import scheduler_samples

__all__ = ["SCHEDULES", "scheduler"]

SCHEDULES: Final[Sequence[Callable[[Composition], Schedule]]] = (
    lambda _: digest(),
    lambda _: recurrence(),
    lambda made: due(collecting_of(made)),
    lambda _: forgetting(),
)
"""Each makes one schedule out of the process that fires it."""


def scheduler(made: Composition) -> Scheduler:
    """The scheduler with all schedules, and its numbers."""
    part = Scheduler(made.pools.worker, [schedule(made) for schedule in SCHEDULES], now=made.clock.now)
    made.show(lambda: scheduler_samples(part.statistics()))
    return part
