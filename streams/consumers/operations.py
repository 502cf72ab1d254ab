"""Wakes the runner of operations: a job says that one was started, its row says all the rest."""

from collections.abc import Callable
from typing import Final

from db import outbox, recurring, thumbnails
from db.operations import PURPOSE
from streams.consumers.jobs import Job, read_job
from streams.consumers.plan import ConsumerPlan, Handled, Permanent

__all__ = ["NAME", "operations"]

NAME: Final = "operations"
OTHERS: Final = frozenset({thumbnails.PURPOSE, recurring.PURPOSE})
"""Jobs of other consumers of the same topic."""


def operations(wake: Callable[[], None]) -> ConsumerPlan:
    """The consumer group `taskforge.operations`. A job that is delivered twice, or lost, changes nothing but when."""

    async def handle(_: str, job: Job) -> Handled:
        if job.purpose in OTHERS:
            return "passed"
        if job.purpose != PURPOSE:
            raise Permanent(f"no such job: {job.purpose}")
        wake()
        return "applied"

    return ConsumerPlan(NAME, outbox.JOBS, handle, read=read_job)
