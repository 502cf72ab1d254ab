"""Bootstraps that are kept: objects of a team's, as long as the journal has forgotten nothing of what is in them."""

from datetime import datetime
from typing import Final
from uuid import UUID

from db import objects
from db.bootstrap.folding import Beginning, still_stands
from db.object_store import Stored
from db.transaction import Writing

__all__ = ["Unkept", "keep"]


class Unkept(Exception):
    """The journal does not say any more what was read of it: the bootstrap is made anew, and this one not kept."""


async def keep(
    tx: Writing, object_id: UUID, stored: Stored, beginning: Beginning, digest: bytes, *, seconds: float
) -> datetime:
    """The file is there: whoever asked finds it for so many seconds; until when. For the worker's pool.

    `digest` is that of the last event in it. Raises Unkept, also while the journal has something to forget, which ends
    with all bootstraps of the team dropped, and LookupError for an object that was given up.
    """
    # Whoever drops what was forgotten counts it in a transaction that waits for this one, or that this one waits for.
    await tx.alone(f"board-snapshots:{beginning.team_id}")
    if not await still_stands(tx, beginning, digest) or await tx.fetchval(_DUE, beginning.team_id):
        raise Unkept(f"team {beginning.team_id} was redacted or restored while a bootstrap of it was made")
    return await objects.complete(tx, object_id, stored, seconds=seconds)


_DUE: Final = "select exists (select from redactions_due where team_id = $1)"
