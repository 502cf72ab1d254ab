"""What one consumer is: its name, the topic it reads, and how it handles an event."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from core.codec import JournalRow
from streams.cloud_events import parse_cloud_event
from streams.kafka import topics

__all__ = ["Busy", "ConsumerPlan", "Handled", "Handling", "Permanent", "read_event"]

Handled = Literal["applied", "passed", "expired"]
"""What became of an event. `applied`: this delivery caused its effect. `passed`: the consumer was not concerned, or had
applied it before. `expired`: the event is too old for an effect that reaches people or other systems."""

Handling = Callable[[str, Any], Awaitable[Handled]]
"""Handles what one record holds, an event or a job, for the consumer of this name.

Raises Permanent when no further attempt can help, Busy and StorageUnavailable when it must wait, and anything else for
a failure that is worth another attempt. The ways to make one are `in_transaction`, `outbound` and `projected`."""


class Permanent(Exception):
    """No further attempt can help: the record goes to the dead-letter topic at once."""


class Busy(Exception):
    """Another delivery of the same event is being handled right now: its outcome is waited for."""


def read_event(value: bytes) -> JournalRow:
    """The event that a record holds. Raises Permanent."""
    try:
        return parse_cloud_event(value)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Permanent(f"not a CloudEvent of ours: {error}") from error


class ConsumerPlan(Struct, frozen=True):
    """One consumer group. Its topics for retries and dead letters follow from its name. `read` raises Permanent.

    `batch_records` bounds how many events are handled between two answers to the broker, which takes a member that is
    silent for five minutes for dead: slow effects need small batches.
    """

    name: str
    topic: str
    handle: Handling
    batch_records: int = 200
    read: Callable[[bytes], Any] = read_event

    @property
    def group(self) -> str:
        return f"taskforge.{self.name}"

    @property
    def retry_topic(self) -> str:
        return topics.retry_topic(self.name)

    @property
    def dlq_topic(self) -> str:
        return topics.dlq_topic(self.name)
