"""Wakes the runner of operations: a job says that one was started, its row says all the rest."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from db import outbox
from db.operations import PURPOSE
from streams.consumers.plan import ConsumerPlan, Handled, Permanent

__all__ = ["NAME", "Job", "operations"]

NAME: Final = "operations"


class Job(Struct, frozen=True):
    """A record of `taskforge.jobs.v1`."""

    id: UUID
    purpose: str
    subject: UUID


def operations(wake: Callable[[], None]) -> ConsumerPlan:
    """The consumer group `taskforge.operations`. A job that is delivered twice, or lost, changes nothing but when."""

    async def handle(_: str, job: Job) -> Handled:
        if job.purpose != PURPOSE:
            raise Permanent(f"no such job: {job.purpose}")
        wake()
        return "applied"

    return ConsumerPlan(NAME, outbox.JOBS, handle, read=_read)


def _read(value: bytes) -> Job:
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        raise Permanent(f"not a job: {error}") from error


_decode: Final = msgspec.json.Decoder(Job).decode
