"""Checkpoints as the worker makes them, without a database: by pages, of which only hashes are kept."""

from collections import Counter
from collections.abc import Collection, Sequence
from uuid import UUID

from msgspec import structs

from core.checkpoints import (
    BEGINNING,
    FORMAT,
    KINDS,
    Checkpoint,
    Ledger,
    ThingKey,
    Things,
    chained,
    event_of,
    last_word,
    state_of,
    unsaid,
)
from core.codec import JournalRow
from core.redaction import redacted

__all__ = ["by_pages", "forgotten", "ledger_of"]


def ledger_of(rows: Sequence[JournalRow]) -> Ledger:
    """The whole copy of somebody who has read these events."""
    ledger = Ledger()
    for row in rows:
        ledger.take(row)
    return ledger


def forgotten(rows: Sequence[JournalRow], subjects: Collection[UUID]) -> list[JournalRow]:
    """The rows as the journal has them once the subjects are redacted."""
    payloads = [redacted(row.type, row.payload, subjects) for row in rows]
    return [
        row if payload is None else structs.replace(row, payload=payload, salt=b"")
        for row, payload in zip(rows, payloads, strict=True)
    ]


def by_pages(rows: Sequence[JournalRow], size: int) -> Checkpoint:
    """The checkpoint behind the last of these events, the first ones of a team."""
    hashes: dict[ThingKey, bytes] = {}
    parents: dict[ThingKey, UUID | None] = {}
    chain, redacted_seq = BEGINNING, 0
    for start in range(0, len(rows), size):
        page = [event_of(row) for row in rows[start : start + size]]
        words = {key: _last_word(rows[:start], key) for key in unsaid(page)}
        things = Things({key: thing for key, thing in words.items() if thing is not None})
        for event in page:
            things.apply(event)
            redacted_seq = event.seq if event.type == "history.redacted" else redacted_seq
        if things.emptied:
            hashes, parents = {}, {}
        for key in [key for key in hashes if key in things.gone or parents[key] in things.ended]:
            del hashes[key]
        for key, parent, one in things.hashes():
            hashes[key], parents[key] = one, parent
    for row in rows:
        chain = chained(chain, row.digest)
    counts, last = Counter(kind for kind, _ in hashes), rows[-1]
    return Checkpoint(
        format=FORMAT,
        team=last.team_id,
        epoch=last.epoch,
        seq=last.seq,
        count=len(rows),
        chain=chain.hex(),
        state=state_of(hashes.values()),
        things={kind: counts[kind] for kind in KINDS},
        redacted_seq=redacted_seq,
        at=last.at,
    )


def _last_word(rows: Sequence[JournalRow], key: ThingKey) -> dict[str, object] | None:
    """As the statement that looks for a subject's last event does it."""
    about = [row for row in rows if row.subject == key[1]]
    return last_word(key, event_of(about[-1])) if about else None
