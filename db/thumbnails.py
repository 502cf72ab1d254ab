"""Small pictures of images that were attached: which object wants one, and where it is once it is made."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from db.expressions import NOW
from db.object_store import Stored
from db.objects import path_of
from db.statements import change, columns, given, rows
from db.tables import Objects
from db.transaction import Reading, Writing
from db.uploads import KIND

__all__ = ["PURPOSE", "THUMBNAIL_TYPE", "Image", "find_image", "keep_thumbnail", "thumbnail_key"]

THUMBNAIL_TYPE: Final = "image/webp"
PURPOSE: Final = "thumbnail"
"""Of the job that a thumbnail is made by; its subject is the object."""


class Image(Struct, frozen=True):
    """An object that a thumbnail is to be made of."""

    id: UUID
    key: str
    media_type: str
    size: int


def thumbnail_key(object_id: UUID, attempt: UUID) -> str:
    """Where an attempt writes its picture: below the path of the object, so that it goes with that."""
    return f"{path_of(KIND, object_id)}/thumbnail/{attempt}"


async def find_image(tx: Reading, object_id: UUID) -> Image | None:
    """The object as long as it is there and has no thumbnail yet. For the worker's role."""
    return await tx.one(_FIND, id=object_id)


async def keep_thumbnail(tx: Writing, object_id: UUID, stored: Stored) -> bool:
    """From here on the object has this thumbnail; False when it has gone, or has one already."""
    return await tx.run(_KEEP, id=object_id, key=stored.key, size=stored.size) == 1


_OPEN: Final = (
    Objects.id == given("id"),
    Objects.kind == KIND,
    Objects.key.is_not_null(),
    Objects.thumbnail_key.is_null(),
    Objects.expires_at.is_null() | (Objects.expires_at > NOW),
)
_FIND: Final = rows(Image, Objects.select(*columns(Objects, Image)).where(*_OPEN))
_KEEP: Final = change(
    Objects.update({Objects.thumbnail_key: given("key"), Objects.thumbnail_size: given("size")}).where(*_OPEN)
)
