"""Files on their way to a task: rows of `objects` that expire unless their team takes the file.

A row comes before its bytes. They are all below its path: those that a sender brought to an address of the store, and
those that we have seen whole. All for the API's pool, as the user who sends.
"""

from typing import Final
from uuid import UUID

from msgspec import Struct
from piccolo.query.functions.aggregate import Count

from core.errors import QuotaReached
from db.expressions import NOW, ahead
from db.ids import new_id
from db.object_store import Stored
from db.objects import path_of
from db.statements import change, columns, given, insert, rows, values
from db.tables import Objects
from db.transaction import Reading, Writing

__all__ = ["KIND", "Claim", "Upload", "begin_upload", "complete_upload", "find_upload", "forget_upload", "sent_key"]

KIND: Final = "attachment"
UPLOAD_SECONDS: Final = 3600.0
"""How long a file may be on its way, and, once it is whole, wait for its team."""


class Claim(Struct, frozen=True):
    """What a sender says of a file beforehand: its size in bytes and SHA-256."""

    size: int
    sha256: bytes


class Upload(Struct, frozen=True):
    """A file on its way. `key`, `size` and `sha256` are set once it is whole, the claims when it is sent directly."""

    id: UUID
    user_id: UUID
    team_id: UUID
    task_id: UUID
    name: str
    media_type: str
    key: str | None
    size: int | None
    sha256: bytes | None
    claimed_size: int | None
    claimed_sha256: bytes | None


def sent_key(upload_id: UUID) -> str:
    """Where a sender brings the file. Nobody takes it from there but whoever checks it: it may be written again."""
    return f"{path_of(KIND, upload_id)}/sent"


async def begin_upload(
    tx: Writing,
    *,
    user_id: UUID,
    team_id: UUID,
    task_id: UUID,
    name: str,
    media_type: str,
    most: int,
    claim: Claim | None,
) -> UUID:
    """A row for a file to come. Raises QuotaReached when the user has `most` on their way."""
    await tx.alone(f"uploads of {user_id}")
    if (await tx.one(_ON_THEIR_WAY, user_id=user_id) or 0) >= most:
        raise QuotaReached("uploads-per-user", most, "You have too many files on their way: complete them first.")
    upload_id = new_id()
    await tx.run(
        _BEGIN,
        id=upload_id,
        user_id=user_id,
        team_id=team_id,
        task_id=task_id,
        name=name,
        media_type=media_type,
        seconds=UPLOAD_SECONDS,
        claimed_size=None if claim is None else claim.size,
        claimed_sha256=None if claim is None else claim.sha256,
    )
    return upload_id


async def find_upload(tx: Reading, user_id: UUID, upload_id: UUID) -> Upload | None:
    """A file of the user's own that is on its way."""
    return await tx.one(_FIND, user_id=user_id, id=upload_id)


async def complete_upload(tx: Writing, upload_id: UUID, stored: Stored, media_type: str) -> bool:
    """The file is whole; False when it is on its way no more, or was completed by somebody quicker."""
    done = await tx.run(
        _COMPLETE,
        id=upload_id,
        key=stored.key,
        size=stored.size,
        sha256=stored.sha256,
        media_type=media_type,
        seconds=UPLOAD_SECONDS,
    )
    return done == 1


async def forget_upload(tx: Writing, upload_id: UUID) -> None:
    """Housekeeping deletes the file and its row. A file that its team has taken stays."""
    await tx.run(_FORGET, id=upload_id)


_BEGIN: Final = change(
    insert(
        Objects,
        id=given("id"),
        user_id=given("user_id"),
        team_id=given("team_id"),
        kind=KIND,
        key=None,
        name=given("name"),
        media_type=given("media_type"),
        size=None,
        sha256=None,
        created_at=NOW,
        expires_at=ahead(given("seconds")),
        task_id=given("task_id"),
        claimed_size=given("claimed_size"),
        claimed_sha256=given("claimed_sha256"),
        thumbnail_key=None,
        thumbnail_size=None,
    )
)
_WAITING: Final = (Objects.kind == KIND, Objects.expires_at > NOW)
_ON_THEIR_WAY: Final = values(int, Objects.select(Count()).where(Objects.user_id == given("user_id"), *_WAITING))
_FIND: Final = rows(
    Upload,
    Objects.select(*columns(Objects, Upload)).where(
        Objects.id == given("id"), Objects.user_id == given("user_id"), *_WAITING
    ),
)
_COMPLETE: Final = change(
    Objects.update(
        {
            Objects.key: given("key"),
            Objects.size: given("size"),
            Objects.sha256: given("sha256"),
            Objects.media_type: given("media_type"),
            Objects.expires_at: ahead(given("seconds")),
        }
    ).where(Objects.id == given("id"), Objects.key.is_null(), *_WAITING)
)
_FORGET: Final = change(Objects.update({Objects.expires_at: NOW}).where(Objects.id == given("id"), *_WAITING))
