"""What becomes of everything that a team has once it is deleted: one line for each of its tables.

A test compares the lines with the catalogue, so that a new table of teams needs a decision here, and another deletes a
team that has rows everywhere and looks at what is left, so that the decision is true. For the worker's role, which
becomes the redactor where it clears.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from core.ended import DELETED_TEAM, GONE_KEY
from core.events import TeamDeleted
from db.pool import Pool
from db.redaction.role import as_redactor
from db.slices import delete_in_slices
from db.transaction import Reading, Writing, writing

__all__ = [
    "KEPT",
    "TABLES",
    "Deleted",
    "Fate",
    "begin_forgetting",
    "clear_team",
    "end_team",
    "expire_files",
    "forget_team",
    "is_published",
    "was_deleted",
]

KEPT: Final = timedelta(days=30)
"""How long the history of a deleted team stays as it was written."""

When = Literal["with its event", "at once", "expires", "with another", "after 30 days", "stays"]
"""The event of the deletion itself ends it; it is cleared as soon as that is committed; its object is deleted first
and then the row; the row that it hangs on takes it along; it goes when the history is forgotten; it says nothing of
what was written in the team, or forgets it (`db/redaction/columns.py`)."""


class Fate(Struct, frozen=True):
    """What becomes of a table's rows, and by whom, or why so."""

    when: When
    how: str


_CLEARED: Final = Fate("at once", "clear_team")

TABLES: Final[Mapping[str, Fate]] = {
    # What hangs on something comes before it, so that nothing has to be taken along by the thousands.
    "webhook_deliveries": _CLEARED,
    "webhook_subscriptions": _CLEARED,
    "notification_mails": _CLEARED,
    "notifications": _CLEARED,
    "idempotency_keys": _CLEARED,
    "search_documents": _CLEARED,
    "comments": _CLEARED,
    "attachments": _CLEARED,
    "tasks": _CLEARED,
    "labels": _CLEARED,
    "columns": _CLEARED,
    "live_tickets": _CLEARED,
    "invitations": _CLEARED,
    "team_places": _CLEARED,
    "webhook_attempts": Fate("with another", "webhook_deliveries"),
    "invitation_acceptances": Fate("with another", "invitations"),
    "reports": Fate("with another", "objects"),
    "team_seen": Fate("with another", "memberships"),
    "memberships": Fate("with its event", "every member leaves just before the team is deleted"),
    "objects": Fate("expires", "expire_files"),
    "board_snapshots": Fate("expires", "expire_files"),
    "api_keys": Fate("stays", "revoked by end_team, and forgotten as all keys are that ended"),
    "checkpoints": Fate("at once", "the writer of checkpoints, which takes them out of their topic first"),
    "checkpoint_things": Fate("at once", "the same, with the checkpoint"),
    "former_members": Fate("after 30 days", "forget_team"),
    "redactions_due": Fate("after 30 days", "forget_team, where the redaction of its own has not taken it before"),
    "operations": Fate("stays", "they are their users', and forgotten as all are that ended"),
    "task_events": Fate("stays", "redacted after 30 days"),
    "teams": Fate("stays", "its name is forgotten after 30 days"),
    "board_snapshot_drops": Fate("stays", "a number"),
    "epochs_due": Fate("stays", "which history stands"),
    "team_epochs": Fate("stays", "which history stands"),
    "projections": Fate("stays", "how far a consumer is"),
    "relay_cursors": Fate("stays", "how far the relay is"),
}
"""Every table of the catalogue that has a `team_id`, and `teams` itself."""


class Deleted(Struct, frozen=True):
    """A team that was deleted, and on whose account."""

    team_id: UUID
    deleted_by: UUID


async def was_deleted(tx: Reading, team_id: UUID) -> bool:
    """Whether the team's history says so, which is so before its row does."""
    return bool(await tx.fetchval(_WAS_DELETED, team_id, TeamDeleted.type))


async def end_team(tx: Writing, team_id: UUID, user_id: UUID) -> datetime:
    """The team is deleted from now on: since when. Nothing is sent for it any more, and no key opens anything of it.

    Done again, it changes nothing.
    """
    async with as_redactor(tx):
        deleted_at: datetime = await tx.fetchval(_END, team_id, user_id)
        for statement in _ENDED_WITH_IT:
            await tx.execute(statement, team_id)
    return deleted_at


async def is_published(tx: Reading, team_id: UUID) -> bool:
    """Whether the relay has said in the topics that the team is gone, and its checkpoints are out of theirs."""
    return bool(await tx.fetchval(_IS_PUBLISHED, team_id, TeamDeleted.type))


async def clear_team(pool: Pool, team_id: UUID) -> int:
    """Delete the rows that go at once, some thousands in a transaction; how many. Raises StorageUnavailable."""
    cleared = 0
    for table, fate in TABLES.items():
        if fate is _CLEARED:
            cleared += await delete_in_slices(pool, _Clearing(table, team_id))
    return cleared


class _Clearing:
    """Deletes rows of one table of a team."""

    def __init__(self, table: str, team_id: UUID) -> None:
        self._statement, self._team_id = _CLEAR.format(table=table), team_id

    async def __call__(self, tx: Writing, limit: int) -> int:
        async with as_redactor(tx):
            return await tx.execute(self._statement, self._team_id, limit)


async def expire_files(pool: Pool, team_id: UUID) -> int:
    """Nobody finds any object of the team any more; how many. Raises StorageUnavailable."""
    async with writing(pool) as tx:
        return sum([await tx.execute(statement, team_id) for statement in _EXPIRE])


async def begin_forgetting(tx: Writing, now: datetime, limit: int) -> Sequence[Deleted]:
    """Teams that were deleted 30 days before `now`, each once for all: at most so many."""
    async with as_redactor(tx):
        rows = await tx.fetch(_BEGIN, now - KEPT, now, limit)
    return [Deleted(row["id"], row["deleted_by"]) for row in rows]


async def forget_team(tx: Writing, team_id: UUID) -> None:
    """Nobody knows any more what the team was called, nor who was in it."""
    await tx.execute(_FORGET_DUE, team_id)
    async with as_redactor(tx):
        await tx.execute(_FORGET_MEMBERS, team_id)
        await tx.execute(_FORGET, team_id, DELETED_TEAM, GONE_KEY)


_WAS_DELETED: Final = """
select exists (select from task_events where team_id = $1 and subject_id = $1 and type = $2)
"""
_END: Final = """
update teams set deleted_at = coalesce(deleted_at, now()), deleted_by = coalesce(deleted_by, $2) where id = $1
returning deleted_at
"""
_DISABLE: Final = """
update webhook_subscriptions set disabled_reason = 'by_hand', disabled_at = now()
where team_id = $1 and disabled_at is null
"""
_ENDED_WITH_IT: Final = (
    _DISABLE,
    "update api_keys set revoked_at = clock_timestamp() where team_id = $1 and revoked_at is null",
    "delete from live_tickets where team_id = $1",
    "delete from invitations where team_id = $1",
)
_IS_PUBLISHED: Final = """
select c.published_seq >= e.seq and not exists (select from checkpoints k where k.team_id = $1)
from relay_cursors c join task_events e on e.team_id = c.team_id and e.subject_id = $1 and e.type = $2
where c.team_id = $1
"""
_CLEAR: Final = """
delete from {table} where ctid = any (array(select ctid from {table} where team_id = $1 limit $2))
"""
_EXPIRE: Final = (
    "update objects set expires_at = now() where team_id = $1 and (expires_at is null or expires_at > now())",
    "update board_snapshots set expires_at = now() where team_id = $1 and (expires_at is null or expires_at > now())",
)
_BEGIN: Final = """
update teams set forgetting_at = $2 where id in (
    select id from teams where deleted_at <= $1 and forgetting_at is null order by deleted_at limit $3
    for update skip locked
) returning id, deleted_by
"""
_FORGET_MEMBERS: Final = "delete from former_members where team_id = $1"
_FORGET_DUE: Final = "delete from redactions_due where team_id = $1"
_FORGET: Final = """
update teams set name = $2, key = $3, forgetting_at = coalesce(forgetting_at, now()),
    forgotten_at = coalesce(forgotten_at, now()) where id = $1
"""
