"""What a record of `taskforge.jobs.v1` is: something to do, by its purpose, about a subject."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from db.ids import made_at
from streams.consumers.plan import Permanent

__all__ = ["Job", "asked_at", "id_of", "read_job"]


class Job(Struct, frozen=True):
    """A job. What else it takes is in the database."""

    id: UUID
    purpose: str
    subject: UUID


def read_job(value: bytes) -> Job:
    """The job of a record. Raises Permanent."""
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        raise Permanent(f"not a job: {error}") from error


def id_of(job: Job) -> str:
    """What stays the same however often the job is delivered."""
    return str(job.id)


def asked_at(job: Job) -> datetime:
    """When it was asked for."""
    return made_at(job.id)


_decode: Final = msgspec.json.Decoder(Job).decode
