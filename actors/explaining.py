"""What the journal has to say to a refusal before it is sent: which changes came in between."""

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from actors.ports import Journal
from core.codec import current_data
from core.errors import FieldConflict, StaleRead, StaleVersion

__all__ = ["MOST_NAMED", "Explained", "explain"]

MOST_NAMED: Final = 100
"""Events that a `StaleRead` of a whole team is explained by: more say no more, and have to be sent."""

Explained = StaleVersion | StaleRead


async def explain(journal: Journal, team_id: UUID, refusal: Explained) -> None:
    """Fill in what came in between. Raises StorageUnavailable."""
    if isinstance(refusal, StaleRead):
        await _explain_read(journal, team_id, refusal)
    elif refusal.yours:
        await _explain_version(journal, team_id, refusal)


async def _explain_read(journal: Journal, team_id: UUID, stale: StaleRead) -> None:
    """Who read the whole team is told what the next events were about."""
    if stale.whole:
        rows = await journal.read(team_id, stale.expected, MOST_NAMED)
        stale.changed = tuple(dict.fromkeys((*stale.changed, *(row.subject for row in rows))))


async def _explain_version(journal: Journal, team_id: UUID, stale: StaleVersion) -> None:
    """The fields that both sides changed since the version the client saw."""
    rows = await journal.task_history(team_id, stale.task_id, stale.expected - 1)
    first = rows[0] if rows else None
    if stale.expected_epoch != stale.epoch:
        # A version from before a restore is known if it is among those that the restore has left.
        stale.base_known = first is not None and first.seq == stale.expected and first.epoch <= stale.expected_epoch
    if not stale.base_known:
        stale.conflicts = tuple(
            FieldConflict(name, None, stale.theirs.get(name), yours)
            for name, yours in stale.yours.items()
            if stale.theirs.get(name) != yours
        )
        return
    base: dict[str, Any] = {}
    for row in rows:
        if row.seq > stale.expected:
            base = {**msgspec.json.decode(current_data(row), type=_Previous).previous, **base}
    stale.conflicts = tuple(
        FieldConflict(name, base[name], stale.theirs.get(name), yours)
        for name, yours in stale.yours.items()
        if name in base
    )


class _Previous(Struct):
    previous: dict[str, Any] = {}
