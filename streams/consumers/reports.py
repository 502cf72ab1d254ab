"""Wakes the runner that prints reports: it is apart from that of other long work, which must not wait for printing."""

from collections.abc import Callable
from typing import Final

from db import outbox
from db.operations import PURPOSE
from streams.consumers.jobs import Job, read_job
from streams.consumers.plan import ConsumerPlan, Handled

__all__ = ["NAME", "reports"]

NAME: Final = "reports"


def reports(wake: Callable[[], None]) -> ConsumerPlan:
    """The consumer group `taskforge.reports`. Which operation a job is about, and whether it is a report, its row says:
    a job that is delivered twice, or lost, changes nothing but when."""

    async def handle(_: str, job: Job) -> Handled:
        if job.purpose != PURPOSE:
            return "passed"
        wake()
        return "applied"

    return ConsumerPlan(NAME, outbox.JOBS, handle, read=read_job)
