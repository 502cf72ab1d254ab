"""What the events of a team add up to, in a file: folded as they come, and read back thing by thing."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from msgspec import Struct

from core.checkpoints import (
    BEGINNING,
    FORMAT,
    KINDS,
    Checkpoint,
    Thing,
    ThingKey,
    Things,
    canonical,
    chained,
    event_of,
    text_hash,
    unsaid,
)
from core.codec import JournalRow
from core.events import HistoryRedacted
from core.loading import PAUSE_SECONDS

__all__ = ["Spool", "SpooledThing"]

SLICE: Final = 50
"""Events between two pauses: a thread that never waits would keep the interpreter from the event loop."""
READ_SLICE: Final = 500
"""Things that are read back between two pauses."""


class SpooledThing(Struct, frozen=True):
    """A thing that is there. `task_id` is that of the task it hangs on; `text` is its canonical JSON (RFC 8785)."""

    kind: str
    id: str
    task_id: str | None
    text: str


class Spool:
    """The fold of one team's events, from the first on, in a new file. For one thread at a time.

    `seq`, `epoch` and `digest` are those of the last event that was taken.
    """

    def __init__(self, path: Path) -> None:
        self.seq, self.epoch, self.digest = 0, 1, b""
        self._chain, self._redacted_seq = BEGINNING, 0
        self._team: UUID | None = None
        self._at: datetime | None = None
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # Nobody reads the file after a crash, so nothing in it is worth a journal or a flush.
        self._file.executescript(_OPEN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def take(self, rows: Sequence[JournalRow]) -> None:
        """The next events of the team. Raises ValueError for others, and for one without a digest."""
        for start in range(0, len(rows), SLICE):
            self._take(rows[start : start + SLICE])
            time.sleep(PAUSE_SECONDS)

    def _take(self, rows: Sequence[JournalRow]) -> None:
        events = [event_of(row) for row in rows]
        things = Things(self._known(unsaid(events)))
        for row, event in zip(rows, events, strict=True):
            if row.seq != self.seq + 1 or not row.digest:
                raise ValueError(f"event {row.seq} does not follow seq {self.seq}, or has no digest")
            things.apply(event)
            self._chain = chained(self._chain, row.digest)
            self._redacted_seq = row.seq if row.type == HistoryRedacted.type else self._redacted_seq
            self.seq, self.epoch, self.digest, self._at = row.seq, row.epoch, row.digest, row.at
            self._team = row.team_id
        self._keep(things)

    def _known(self, keys: Collection[ThingKey]) -> dict[ThingKey, Thing]:
        found: dict[ThingKey, Thing] = {}
        for kind, thing_id in keys:
            row = self._file.execute(_FIND, (kind, str(thing_id))).fetchone()
            if row is not None:
                found[kind, thing_id] = json.loads(row[0])
        return found

    def _keep(self, things: Things) -> None:
        if things.emptied:
            self._file.execute("delete from things")
        self._file.executemany(_END, [(str(task_id),) for task_id in things.ended])
        self._file.executemany(_DROP, [(kind, str(thing_id)) for kind, thing_id in things.gone])
        self._file.executemany(
            _PUT,
            [
                (kind, str(thing_id), thing.get("task_id"), text := canonical(thing), text_hash(kind, text))
                for (kind, thing_id), thing in things.there.items()
            ],
        )

    def checkpoint(self) -> Checkpoint:
        """What a copy must add up to after the last event that was taken, of which there must be one."""
        assert self._team is not None, "something has happened to the team"
        assert self._at is not None, "something has happened to the team"
        counts = dict(self._file.execute("select kind, count(*) from things group by kind").fetchall())
        return Checkpoint(
            format=FORMAT,
            team=self._team,
            epoch=self.epoch,
            seq=self.seq,
            count=self.seq,
            chain=self._chain.hex(),
            state=self._state(),
            things={kind: counts.get(kind, 0) for kind in KINDS},
            redacted_seq=self._redacted_seq,
            at=self._at,
        )

    def _state(self) -> str:
        """The state of `core.checkpoints.state_of`, without all hashes in memory at once."""
        state = hashlib.sha256()
        for (one,) in self._file.execute("select hash from things order by hash"):
            state.update(one.hex().encode())
        return state.hexdigest()

    def things(self) -> Iterator[Sequence[SpooledThing]]:
        """All that is there, in portions, by kind and id."""
        cursor = self._file.execute(_ALL)
        while rows := cursor.fetchmany(READ_SLICE):
            yield [SpooledThing(*row) for row in rows]
            time.sleep(PAUSE_SECONDS)


_OPEN: Final = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -16384;
create table things (
    kind text not null, id text not null, task_id text, thing text not null, hash blob not null, primary key (kind, id)
) without rowid;
create index things_task on things (task_id) where task_id is not null;
begin;
"""
_FIND: Final = "select thing from things where kind = ? and id = ?"
_END: Final = "delete from things where task_id = ?"
_DROP: Final = "delete from things where kind = ? and id = ?"
_PUT: Final = "insert or replace into things (kind, id, task_id, thing, hash) values (?, ?, ?, ?, ?)"
_ALL: Final = "select kind, id, task_id, thing from things order by kind, id"
