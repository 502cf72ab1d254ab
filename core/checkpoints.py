"""Checkpoints: what a copy of a team's history must add up to at one `seq`, and how anybody proves that it does.

`docs/data-teams.md` says the same in words, for readers who have nothing of ours:

- `chain` is about the events: SHA-256 over the chain before and the event's digest, beginning with 32 zero bytes. The
  digest is SHA-256 of salt and data as they were written; a redacted event carries it, so that the chain never breaks.
- `state` is about what the events add up to: the last word about each thing that is there. Every thing has a SHA-256 of
  its kind, a space and its canonical JSON (RFC 8785); the state is the SHA-256 of these, sorted, in hexadecimal.

Both are computed from what was written, whatever the version of its shape: no program has to know a type of events to
check them. Raising `FORMAT` is how a rule in here changes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from core.codec import JournalRow
from core.events import HistoryRedacted
from core.redaction import DELETED_USER

__all__ = [
    "BEGINNING",
    "FORMAT",
    "KINDS",
    "Checkpoint",
    "Event",
    "Ledger",
    "Thing",
    "ThingKey",
    "Things",
    "canonical",
    "chained",
    "event_of",
    "last_word",
    "state_of",
    "text_hash",
    "thing_hash",
    "unsaid",
]

FORMAT: Final = 1
BEGINNING: Final = bytes(32)
"""The chain before the first event."""
KINDS: Final = ("task", "comment", "attachment", "member", "label", "column", "team")
"""What there is in the fold; each is a member of this name in the data of events."""
ENDS: Final = frozenset({"deleted", "removed"})
"""The second word of a type that ends the thing of its first."""

Thing = dict[str, Any]
"""As the JSON of an event has it."""
ThingKey = tuple[str, UUID]
"""Kind and id; a member's is the user's."""


class Checkpoint(Struct, frozen=True, kw_only=True):
    """What the copy of a team must add up to after its event `seq`, which happened `at` in `epoch`.

    `count` events lead there. `things` has how many things of each kind there are; `redacted_seq` is the seq of the
    last `history.redacted` among the events (0: none). A copy that holds older texts of what was redacted later has
    another `state`, and the same `chain`.
    """

    format: int
    team: UUID
    epoch: int
    seq: int
    count: int
    chain: str
    state: str
    things: Mapping[str, int]
    redacted_seq: int
    at: datetime


class Event(Struct, frozen=True):
    """As much of an event as counts here."""

    type: str
    seq: int
    data: Thing

    @property
    def noun(self) -> str:
        return self.type.partition(".")[0]

    @property
    def ends(self) -> bool:
        """Whether its thing is gone afterwards."""
        return self.type.partition(".")[2] in ENDS


def event_of(row: JournalRow) -> Event:
    """The event of a journal row or of a record of the topic, as it stands there."""
    return Event(row.type, row.seq, json.loads(row.payload, parse_float=_number))


def _number(text: str) -> int | float:
    """RFC 8785 writes whole numbers without a fraction, whatever they were read from."""
    number = float(text)
    return int(number) if number.is_integer() else number


def canonical(thing: Thing) -> str:
    """Canonical JSON (RFC 8785) of what `event_of` has read: sorted members, no spaces, no escapes but the needed."""
    return json.dumps(thing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def chained(chain: bytes, digest: bytes) -> bytes:
    """The chain after one more event."""
    return hashlib.sha256(chain + digest).digest()


def thing_hash(kind: str, thing: Thing) -> bytes:
    """SHA-256 of a thing: 32 bytes."""
    return text_hash(kind, canonical(thing))


def text_hash(kind: str, text: str) -> bytes:
    """The same of a thing whose canonical text is at hand."""
    return hashlib.sha256(f"{kind} {text}".encode()).digest()


def state_of(hashes: Iterable[bytes]) -> str:
    """The state over the hashes of all things, which may come in any order; in hexadecimal."""
    return hashlib.sha256("".join(sorted(one.hex() for one in hashes)).encode()).hexdigest()


class Things:
    """What events add up to.

    Begun with all that there was it is the whole fold. Begun with what `unsaid` asks for, it is what changes: `there`
    then has what is new or other, `gone` what is no more, and `ended` the tasks that took all their comments and
    attachments with them. `emptied`: the team has ended, and took with it all that was there before.
    """

    def __init__(self, there: Mapping[ThingKey, Thing] | None = None) -> None:
        self.there: dict[ThingKey, Thing] = dict(there or {})
        self.gone: set[ThingKey] = set()
        self.ended: set[UUID] = set()
        self.emptied = False

    def apply(self, event: Event) -> None:
        """The next event of the team."""
        for kind in KINDS:
            if kind in event.data:
                key: ThingKey = (kind, _id(kind, event.data[kind]))
                if event.ends and event.noun == kind:
                    self._end(key)
                else:
                    self.there[key] = event.data[kind]
                    self.gone.discard(key)
        for key, fields in _beside(event):
            if (thing := self.there.get(key)) is not None:
                self.there[key] = thing | fields

    def _end(self, key: ThingKey) -> None:
        kind, thing_id = key
        if kind == "team":
            self.there, self.emptied = {}, True
        self._drop(key)
        if kind == "task":
            self.ended.add(thing_id)
            for other in [other for other, thing in self.there.items() if _parent(other[0], thing) == thing_id]:
                self._drop(other)

    def _drop(self, key: ThingKey) -> None:
        self.there.pop(key, None)
        self.gone.add(key)

    def hashes(self) -> Iterator[tuple[ThingKey, UUID | None, bytes]]:
        """Of each thing that is there: its key, the task that it hangs on, and its hash."""
        for key, thing in self.there.items():
            yield key, _parent(key[0], thing), thing_hash(key[0], thing)


def _id(kind: str, thing: Thing) -> UUID:
    return UUID(thing["user_id" if kind == "member" else "id"])


def _parent(kind: str, thing: Thing) -> UUID | None:
    return UUID(thing["task_id"]) if kind in {"comment", "attachment"} else None


def _beside(event: Event) -> Iterator[tuple[ThingKey, Thing]]:
    """What an event says in passing of things that it does not carry: new ranks of neighbours, forgotten names."""
    for thing_id, rank in event.data.get("ranks", {}).items():
        version = {"version": event.seq} if event.noun == "task" else {}
        yield (event.noun, UUID(thing_id)), {"rank": rank, **version}
    if event.type == HistoryRedacted.type:
        for subject in event.data["subjects"]:
            yield ("member", UUID(subject)), {"name": DELETED_USER}


def unsaid(events: Iterable[Event]) -> Collection[ThingKey]:
    """What these events say something of in passing that none of them has said whole before."""
    said: set[ThingKey] = set()
    wanted: dict[ThingKey, None] = {}
    for event in events:
        said |= {(kind, _id(kind, event.data[kind])) for kind in KINDS if kind in event.data}
        wanted.update((key, None) for key, _ in _beside(event) if key not in said)
    return wanted.keys()


def last_word(key: ThingKey, event: Event) -> Thing | None:
    """What the last event about a thing says of it; None when it is gone."""
    return None if event.ends and event.noun == key[0] else event.data.get(key[0])


class Ledger:
    """A copy of a team's history, taken in event by event, to be held against a checkpoint.

    Give it the events of one team that stand, in the order of their `seq`, from the first on. Memory grows with what
    they add up to, not with their number.
    """

    def __init__(self) -> None:
        self.things = Things()
        self.chain = BEGINNING
        self.seq = 0
        self.redacted_seq = 0

    def take(self, row: JournalRow) -> None:
        """The next event. Raises ValueError for another seq, or one that carries neither a salt nor a digest."""
        if row.seq != self.seq + 1:
            raise ValueError(f"event {row.seq} does not follow seq {self.seq}")
        if not row.digest:
            raise ValueError(f"event {row.seq} has neither a salt nor a digest")
        self.things.apply(event_of(row))
        self.chain = chained(self.chain, row.digest)
        self.seq = row.seq
        if row.type == HistoryRedacted.type:
            self.redacted_seq = row.seq

    def differences(self, checkpoint: Checkpoint) -> list[str]:
        """Which of `seq`, `chain`, `things` and `state` differ from the checkpoint; nothing when the copy is true."""
        counts = Counter(kind for kind, _ in self.things.there)
        mine = {
            "seq": self.seq,
            "chain": self.chain.hex(),
            "things": {kind: counts[kind] for kind in KINDS},
            "state": state_of(one for _, _, one in self.things.hashes()),
        }
        return [name for name, value in mine.items() if value != getattr(checkpoint, name)]
