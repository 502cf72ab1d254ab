"""A dead letter as its record tells of it, and which letters somebody wants to see or to try again. Pure, no I/O."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from streams.consumers import retries
from streams.consumers.retries import header_of, number_of
from streams.kafka.topics import FAILED_DAYS

__all__ = ["DeadLetter", "Wanted", "letter_of", "parse_id"]

OLDEST: Final = timedelta(days=FAILED_DAYS)
SHORT: Final = 200
"""What others wrote is cut to so many characters wherever it is shown in a list."""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A record that `consumer` has given up at `at`; `first_at` is the earliest time that it tells of.

    `topic`, `source` (partition and offset there) say where it was first read. `kind` is an event's type or a job's
    purpose, `team` an event's team; both are empty where the record cannot be read. `event_id` is what a repeat is
    known by. `cut` says that it was too large to be kept whole.
    """

    consumer: str
    partition: int
    offset: int
    at: datetime
    first_at: datetime
    topic: str
    source: str
    attempts: int
    error_class: str
    error: str
    event_id: str
    kind: str
    team: str
    cut: int
    replay: str
    record: "ConsumerRecord[bytes, bytes]"

    @property
    def id(self) -> str:
        """What people name it by: consumer, partition and offset."""
        return f"{self.consumer}:{self.partition}:{self.offset}"

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset in the topic of dead letters."""
        return self.partition, self.offset

    def is_too_old(self, now: datetime) -> bool:
        """Whether it is older than two weeks, after which nothing is tried again."""
        return min(self.at, self.first_at) < now - OLDEST


class Wanted(Struct, frozen=True, kw_only=True):
    """Which letters: those of these consumers (by id, if ids are named) for which everything that is given holds.

    `error` is a part of the error or its class, `since` the first moment, `until` the first that is too late; `first`
    and `last` are offsets. `again`: also those that somebody had tried again before.
    """

    consumers: tuple[str, ...]
    ids: frozenset[str] = frozenset()
    kind: str | None = None
    error: str | None = None
    team: UUID | None = None
    event: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    first: int = 0
    last: int | None = None
    again: bool = False

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is one of them, replayed or not."""
        return (
            (not self.ids or letter.id in self.ids)
            and self.kind in (None, letter.kind)
            and (self.error is None or self._names(letter))
            and (self.team is None or letter.team == str(self.team))
            and self.event in (None, letter.event_id)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and self.first <= letter.offset
            and (self.last is None or letter.offset <= self.last)
        )

    def _names(self, letter: DeadLetter) -> bool:
        wanted = (self.error or "").lower()
        return wanted in letter.error_class.lower() or wanted in letter.error.lower()

    def words(self) -> str:
        """The same for the audit."""
        given = {
            "consumers": ", ".join(self.consumers),
            "ids": ", ".join(sorted(self.ids)),
            **{name: getattr(self, name) for name in ("kind", "error", "team", "event", "since", "until")},
            "from offset": self.first or None,
            "to offset": self.last,
            "again": "yes" if self.again else None,
        }
        return "; ".join(f"{name}: {value}" for name, value in given.items() if value not in (None, ""))


def parse_id(text: str) -> tuple[str, int, int]:
    """Consumer, partition and offset of a letter's id. Raises ValueError for anything else."""
    consumer, _, place = text.partition(":")
    partition, _, offset = place.partition(":")
    if not consumer or not (partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
        raise ValueError(f"not the id of a dead letter, as in notifications:0:17: {text!r}")
    return consumer, int(partition), int(offset)


def letter_of(consumer: str, record: "ConsumerRecord[bytes, bytes]") -> DeadLetter:
    """What a record of a topic of dead letters tells, whatever is in it."""
    kind, team = _contents(record.value or b"")
    at = _moment(record.timestamp)
    known = [_moment(number_of(record, retries.TIMESTAMP)), _time(header_of(record, retries.FIRST_FAILURE))]
    return DeadLetter(
        consumer=consumer,
        partition=record.partition,
        offset=record.offset,
        at=at,
        first_at=min([at, *(time for time in known if time > _NEVER)]),
        topic=header_of(record, retries.TOPIC)[:SHORT],
        source=f"{number_of(record, retries.PARTITION)}/{number_of(record, retries.OFFSET)}",
        attempts=number_of(record, retries.ATTEMPTS),
        error_class=header_of(record, retries.ERROR_CLASS)[:SHORT],
        error=header_of(record, retries.ERROR)[: retries.LONGEST_TEXT],
        event_id=header_of(record, retries.EVENT_ID)[:SHORT],
        kind=kind[:SHORT],
        team=team,
        cut=number_of(record, retries.CUT),
        replay=header_of(record, retries.REPLAY)[:SHORT],
        record=record,
    )


class _Contents(Struct):
    type: str = ""
    purpose: str = ""
    teamid: UUID | None = None


_decode: Final = msgspec.json.Decoder(_Contents).decode
_NEVER: Final = datetime.fromtimestamp(0, UTC)


def _contents(value: bytes) -> tuple[str, str]:
    """Kind and team of what the record holds; both empty where it is nothing of ours."""
    try:
        found = _decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "", ""
    return found.type or found.purpose, str(found.teamid or "")


def _moment(milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _NEVER


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return _NEVER
    return time if time.tzinfo else time.replace(tzinfo=UTC)
