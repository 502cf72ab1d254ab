"""What the object store holds, as rows: whose it is, what it is, until when. The bytes are in `db/object_store.py`.

A row comes before its object and goes after it, so that a crash at any point leaves no object that nothing knows of.
All that was ever written for a row is below one path, which is what is deleted.
"""

import logging
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.expressions import NOW, ahead, any_of, limited
from db.ids import new_id
from db.object_store import ObjectStore, Stored
from db.pool import Pool
from db.redactions_due import REPORT_IS_DUE
from db.statements import change, columns, given, insert, returned_values, rows, values
from db.tables import Objects, Users
from db.transaction import Reading, Writing, reading, writing

__all__ = [
    "BOOTSTRAPS",
    "REPORTS",
    "Object",
    "complete",
    "expire",
    "expire_all_of",
    "find",
    "forget_expired_objects",
    "new_key",
    "reserve",
]

logger = logging.getLogger(__name__)

BOOTSTRAPS: Final = "bootstraps"
REPORTS: Final = "reports"
"""The kind of objects that have everything of a team in them."""
AT_ONCE: Final = 100
UNFINISHED_SECONDS: Final = 86_400.0
"""How long a row may wait for its object."""


class Object(Struct, frozen=True):
    """A whole object that has not expired. `name` is what a file of it is called, `size` its bytes."""

    id: UUID
    user_id: UUID
    team_id: UUID | None
    kind: str
    key: str
    name: str
    media_type: str
    size: int
    sha256: bytes
    created_at: datetime
    expires_at: datetime | None
    thumbnail_key: str | None = None
    thumbnail_size: int | None = None


async def reserve(
    tx: Writing, *, user_id: UUID, kind: str, name: str, media_type: str, team_id: UUID | None = None
) -> UUID:
    """A row for an object to come, which expires in a day unless it is completed. For a transaction of the worker's."""
    object_id = new_id()
    await tx.run(
        _RESERVE,
        id=object_id,
        user_id=user_id,
        team_id=team_id,
        kind=kind,
        name=name,
        media_type=media_type,
        seconds=UNFINISHED_SECONDS,
    )
    return object_id


def path_of(kind: str, object_id: UUID) -> str:
    """Below this is all that was ever written for the object."""
    return f"{kind}/{object_id}"


def new_key(kind: str, object_id: UUID) -> str:
    """A key that nobody else writes to, whoever else tries to make the same object."""
    return f"{path_of(kind, object_id)}/{new_id()}"


async def complete(tx: Writing, object_id: UUID, stored: Stored, *, seconds: float) -> datetime:
    """The object is there and stays for so many seconds; until when. Raises LookupError for a row that has gone."""
    until = await tx.one(
        _COMPLETE, id=object_id, key=stored.key, size=stored.size, sha256=stored.sha256, seconds=float(seconds)
    )
    if until is None:
        raise LookupError("the object was given up meanwhile")
    return until


async def expire(tx: Writing, object_id: UUID) -> None:
    """Nobody finds the object any more, and housekeeping deletes it; nothing, if it is gone."""
    await tx.run(_EXPIRE, id=object_id)


async def expire_all_of(tx: Writing, user_id: UUID) -> None:
    """The same for everything of a user's that belongs to no team. For a transaction of the worker's."""
    await tx.run(_EXPIRE_ALL, user_id=user_id)


async def find(tx: Reading, object_id: UUID) -> Object | None:
    """A whole object that the transaction's user may have now; None also when that user is no more.

    None as well for a report or a bootstrap that may say what was deleted for good since, before a worker drops it.
    """
    if await tx.one(_SOMEBODY) is None:
        return None
    found = await tx.one(_FIND, id=object_id)
    if found is None or found.team_id is None or found.kind not in {BOOTSTRAPS, REPORTS}:
        return found
    return None if await tx.fetchval(_IS_DUE, found.team_id, found.id, found.kind == BOOTSTRAPS) else found


async def forget_expired_objects(pool: Pool, store: ObjectStore | None) -> int:
    """Delete what has expired, the objects first; how many. For the worker pool.

    Raises StorageUnavailable and ObjectStoreUnavailable. Without a store there is nothing that could be deleted safely.
    """
    forgotten = 0
    while store is not None:
        async with reading(pool, None) as tx:
            expired = await tx.all(_EXPIRED, limit=AT_ONCE)
        for one in expired:
            await store.delete_below(path_of(one.kind, one.id))
        async with writing(pool) as tx:
            forgotten += await tx.run(_FORGET, ids=[one.id for one in expired])
        if len(expired) < AT_ONCE:
            break
    return forgotten


class _Expired(Struct, frozen=True):
    id: UUID
    kind: str


_RESERVE: Final = change(
    insert(
        Objects,
        id=given("id"),
        user_id=given("user_id"),
        team_id=given("team_id"),
        kind=given("kind"),
        key=None,
        name=given("name"),
        media_type=given("media_type"),
        size=None,
        sha256=None,
        created_at=NOW,
        expires_at=ahead(given("seconds")),
        task_id=None,
        claimed_size=None,
        claimed_sha256=None,
        thumbnail_key=None,
        thumbnail_size=None,
    )
)
_COMPLETE: Final = returned_values(
    datetime,
    Objects.update(
        {
            Objects.key: given("key"),
            Objects.size: given("size"),
            Objects.sha256: given("sha256"),
            Objects.expires_at: ahead(given("seconds")),
        }
    )
    .where(Objects.id == given("id"), Objects.expires_at > NOW)
    .returning(Objects.expires_at),
)
_EXPIRE: Final = change(Objects.update({Objects.expires_at: NOW}).where(Objects.id == given("id")))
_EXPIRE_ALL: Final = change(
    Objects.update({Objects.expires_at: NOW}).where(Objects.user_id == given("user_id"), Objects.team_id.is_null())
)
_SOMEBODY: Final = values(UUID, Users.select(Users.id).where(Users.erased_at.is_null()))
_FIND: Final = rows(
    Object,
    Objects.select(*columns(Objects, Object)).where(
        Objects.id == given("id"),
        Objects.key.is_not_null(),
        Objects.expires_at.is_null() | (Objects.expires_at > NOW),
    ),
)
_IS_DUE: Final = f"""
select exists (select from reports r where r.team_id = $1 and r.id = $2 and {REPORT_IS_DUE})
    or ($3::boolean and exists (select from redactions_due d where d.team_id = $1))
"""  # noqa: S608 (an expression of our own)
_EXPIRED: Final = rows(
    _Expired,
    limited(Objects.select(Objects.id, Objects.kind).where(Objects.expires_at <= NOW), given("limit")),
)
_FORGET: Final = change(Objects.delete().where(any_of(Objects.id, given("ids")), Objects.expires_at <= NOW))
