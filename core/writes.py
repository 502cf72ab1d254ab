"""What is handed to the durable side, and what comes back: the shapes between `actors` and `db`, which never meet."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

from core.codec import Encoded
from core.columns import Column
from core.errors import StorageUnavailable
from core.events import AnyEvent, ColumnEvent, Noun, TeamDeleted


class StoredReply(Struct, frozen=True, gc=False):
    """An answer as it is kept for replays: HTTP status, extra headers (name, value), body bytes, and its `seq`."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seq: int


class KeyRow(Struct, frozen=True, gc=False):
    """An idempotency row, committed with its effect. `principal` is the user or API key, never the bearer string."""

    principal: UUID
    key: str
    fingerprint: bytes
    reply: StoredReply


class RowChanges(Struct, frozen=True, gc=False):
    """What becomes of a noun's rows: things as they are after a batch, each once, and the ids of what is gone."""

    kept: tuple[Any, ...] = ()
    gone: tuple[UUID, ...] = ()


class TeamWrites(Struct, frozen=True, gc=False):
    """One team's decided batch. Nothing of it is written unless the team is still at `expected_seq` of `epoch`.

    `events` are contiguous from `expected_seq + 1` (none when only keys are stored). `rows` has the nouns that the
    batch changed.
    """

    team_id: UUID
    epoch: int
    expected_seq: int
    events: tuple[Encoded, ...]
    rows: Mapping[Noun, RowChanges]
    keys: tuple[KeyRow, ...]


def rows_of_events(events: Iterable[Encoded], columns: Mapping[UUID, Column]) -> dict[Noun, RowChanges]:
    """The last word of events about everything but tasks. Of those memory knows more: ranks change beside them.

    Of columns too: `columns` are those after the events.
    """
    last: dict[Noun, dict[UUID, AnyEvent]] = {}
    moved = dict[UUID, None]()
    for encoded in events:
        event = encoded.event
        if isinstance(event, ColumnEvent):
            moved.update(dict.fromkeys((event.subject, *event.ranks)))
        elif isinstance(event, TeamDeleted):
            # The row of the team stays, and whatever the same batch has hung on it has nothing left to hang on.
            last, moved = {"member": last["member"]}, {}
        elif event.noun != "task":
            last.setdefault(event.noun, {})[event.thing_id] = event
            if event.seq == 1:  # A team is there, with the columns that every team begins with.
                moved.update(dict.fromkeys(columns))
        elif event.gone:
            # Comments and files of a task that the same batch deletes have nothing left to hang on.
            for noun, about in last.items():
                last[noun] = {key: one for key, one in about.items() if one.subject != event.subject}
    rows = {noun: _changes(about.values()) for noun, about in last.items()}
    if moved:
        kept = tuple(columns[column_id] for column_id in moved if column_id in columns)
        rows["column"] = RowChanges(kept, tuple(column_id for column_id in moved if column_id not in columns))
    return rows


def _changes(last: Collection[AnyEvent]) -> RowChanges:
    return RowChanges(
        tuple(event.thing for event in last if not event.gone),
        tuple(event.thing_id for event in last if event.gone),
    )


class Committed(Struct, frozen=True, gc=False):
    """All of the team's writes are durable."""


class JournalPosition(Struct, frozen=True, gc=False):
    """How far a team's journal is, and in which epoch: seqs of two epochs do not compare.

    `due`: a restore was noticed, and the team is written by nobody before its next epoch has begun.
    """

    seq: int
    epoch: int = 1
    due: bool = False


class FenceBroken(Struct, frozen=True, gc=False):
    """Another process wrote first: nothing was written; `seq` is where the team is now (0: the team is gone).

    `rewritten`: the team is in another epoch by now, so that nothing in memory of it holds any more.
    """

    seq: int
    rewritten: bool = False


class KeysTaken(Struct, frozen=True, gc=False):
    """Some keys were used before: nothing was written; answer these from `hits` and commit the rest again."""

    hits: tuple[KeyRow, ...]


class Rejected(Struct, frozen=True, gc=False):
    """A database constraint refused this team's writes: nothing was written. `constraint` is its name."""

    constraint: str


class Blocked(Struct, frozen=True, gc=False):
    """Somebody else holds a row that the writes need, and did not let go of it soon: nothing was written."""


CommitOutcome = Committed | FenceBroken | KeysTaken | Rejected | Blocked


class TeamLocked(StorageUnavailable):
    """The team's row, or another that its writes need, was held by somebody else for too long: nothing was written."""


class CommitUnknown(Exception):
    """The connection broke after COMMIT was sent: the writes may or may not be durable. Never answer from memory."""
