"""What becomes of a record whose effect failed: again later, or the dead-letter topic. Pure decisions, no I/O.

The retry topic has one partition per delay, so that due times within a partition are in order. A record keeps its key,
value and headers; ours are added to them, so that it can be judged, and replayed under the same event id.
"""

from datetime import UTC, datetime
from typing import Any, Final, Protocol

from msgspec import Struct

from streams.consumers.plan import Permanent
from streams.kafka.topics import Headers

__all__ = [
    "ATTEMPTS",
    "CUT",
    "DELAYS",
    "ERROR",
    "ERROR_CLASS",
    "FIRST_FAILURE",
    "LAST_FAILURE",
    "OFFSET",
    "PARTITION",
    "PREFIX",
    "REPLAY",
    "TIMESTAMP",
    "TOPIC",
    "Failed",
    "Outgoing",
    "after_failure",
    "again",
    "attempts_of",
    "cut_down",
    "due_at",
    "header_of",
    "number_of",
    "origin_of",
]

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
CUT: Final = "taskforge-cut-bytes"
"""How long the value was of a record that no topic of failures takes whole."""
REPLAY: Final = "taskforge-replay"
"""Under which id somebody had the dead letter tried again."""
EVENT_ID: Final = "event_id"
DIGITS: Final = 18
"""No number of ours has more. What anybody else has written there is none."""


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
    return number_of(record, ATTEMPTS)


def due_at(record: Failed) -> float:
    """Seconds since 1970 before which the record must not be tried; zero when it never failed.

    Nothing waits for longer than the longest delay, whatever a record of the topic of delays says.
    """
    return min(number_of(record, NOT_BEFORE), record.timestamp + 1000 * DELAYS[-1]) / 1000


def origin_of(record: Failed) -> str:
    """topic/partition/offset where the record was first read."""
    return "/".join(
        header_of(record, name) or str(now)
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


def cut_down(outgoing: Outgoing) -> Outgoing:
    """The dead letter of a record that is too large to be sent on: what is known of it, without what it says."""
    ours = [(name, value) for name, value in outgoing.headers if name.startswith(PREFIX) or name == EVENT_ID]
    size = (CUT, str(len(outgoing.value)).encode())
    return Outgoing(None, (outgoing.key or b"")[:LONGEST_TEXT], b"", [*ours, size])


def again(record: Failed, replay: str) -> Outgoing:
    """The record of a dead letter for the topic of delays, due at once, as if it had not been tried before.

    Whatever it says stays as it is; so does where it came from.
    """
    theirs = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    ours = {**_kept(record), REPLAY: replay}
    return Outgoing(0, record.key, record.value or b"", [*theirs, *((n, v.encode()) for n, v in ours.items())])


def _kept(record: Failed) -> dict[str, str]:
    """What is known of the first failure stays as it is."""
    names = (TOPIC, PARTITION, OFFSET, TIMESTAMP, FIRST_FAILURE, REPLAY)
    return {name: text for name in names if (text := header_of(record, name))}


def header_of(record: Failed, name: str) -> str:
    """The text of a header; empty where there is none. Headers of others may have no value at all."""
    return next((value.decode("utf-8", "replace") for key, value in record.headers if key == name and value), "")


def number_of(record: Failed, name: str) -> int:
    """The number in a header of ours; zero for whatever is none."""
    text = header_of(record, name)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else 0


def _time(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds")
