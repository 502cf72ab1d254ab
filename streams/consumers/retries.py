"""What becomes of a record whose effect failed: again later, or the dead-letter topic. Pure decisions, no I/O.

The retry topic has one partition per delay, so that due times within a partition are in order. A record keeps its key,
value and headers; ours are added to them, so that it can be judged, and replayed under the same event id.
"""

from datetime import UTC, datetime
from typing import Any, Final, Protocol

from msgspec import Struct

from streams.consumers.plan import Permanent
from streams.kafka.topics import Headers

__all__ = ["DELAYS", "Failed", "Outgoing", "after_failure", "attempts_of", "due_at", "origin_of"]

DELAYS: Final = (1.0, 10.0, 60.0, 600.0, 3600.0)
LONGEST_TEXT: Final = 500

PREFIX: Final = "taskforge-"
NOT_BEFORE: Final = "taskforge-not-before"
ATTEMPTS: Final = "taskforge-attempts"
TOPIC: Final = "taskforge-original-topic"
PARTITION: Final = "taskforge-original-partition"
OFFSET: Final = "taskforge-original-offset"
TIMESTAMP: Final = "taskforge-original-timestamp"
FIRST_FAILURE: Final = "taskforge-first-failure"
LAST_FAILURE: Final = "taskforge-last-failure"
ERROR: Final = "taskforge-error"
ERROR_CLASS: Final = "taskforge-error-class"


class Failed(Protocol):
    """As much of a consumed record as is needed here; `timestamp` is in ms since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: Any
    value: Any
    headers: Any


class Outgoing(Struct, frozen=True):
    """A record for the retry topic (`level` is its partition) or, without level, for the dead-letter topic."""

    level: int | None
    key: bytes | None
    value: bytes
    headers: Headers


def attempts_of(record: Failed) -> int:
    """How often the record has been tried before."""
    text = _header(record, ATTEMPTS)
    return int(text) if text.isdigit() else 0


def due_at(record: Failed) -> float:
    """Seconds since 1970 before which the record must not be tried; zero when it never failed."""
    text = _header(record, NOT_BEFORE)
    return int(text) / 1000 if text.isdigit() else 0.0


def origin_of(record: Failed) -> str:
    """topic/partition/offset where the record was first read."""
    return "/".join(
        _header(record, name) or str(now)
        for name, now in ((TOPIC, record.topic), (PARTITION, record.partition), (OFFSET, record.offset))
    )


def after_failure(record: Failed, error: BaseException, now: datetime) -> Outgoing:
    """The record that is sent on after this failure, to be tried again later or to be kept for people to look at."""
    tried = attempts_of(record) + 1
    level = None if isinstance(error, Permanent) or tried > len(DELAYS) else tried - 1
    ours = {
        TOPIC: record.topic,
        PARTITION: str(record.partition),
        OFFSET: str(record.offset),
        TIMESTAMP: str(record.timestamp),
        FIRST_FAILURE: _time(now),
        **_kept(record),
        LAST_FAILURE: _time(now),
        ATTEMPTS: str(tried),
        ERROR_CLASS: type(error.__cause__ or error).__name__,
        ERROR: str(error)[:LONGEST_TEXT],
    }
    if level is not None:
        ours[NOT_BEFORE] = str(int((now.timestamp() + DELAYS[level]) * 1000))
    theirs = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    return Outgoing(level, record.key, record.value or b"", [*theirs, *((n, v.encode()) for n, v in ours.items())])


def _kept(record: Failed) -> dict[str, str]:
    """What is known of the first failure stays as it is."""
    names = (TOPIC, PARTITION, OFFSET, TIMESTAMP, FIRST_FAILURE)
    return {name: text for name in names if (text := _header(record, name))}


def _header(record: Failed, name: str) -> str:
    return next((value.decode("ascii", "replace") for key, value in record.headers if key == name), "")


def _time(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds")
