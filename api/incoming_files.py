"""Files on their way from a request, or from where a sender put them, into the store under their final key.

Whichever way they come, we have read every byte of them: digest, size and type are what we saw, and a store that hands
files out itself has a type and a disposition of ours with each.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import UUID

from msgspec import Struct

from core.errors import Conflict, NotFound, StorageUnavailable, Unavailable
from core.file_types import HEAD_BYTES, PICTURES, file_type
from db import outbox
from db.object_store import ObjectMissing, ObjectStore, ObjectStoreUnavailable, Stored
from db.objects import new_key
from db.pool import Pool
from db.thumbnails import PURPOSE
from db.transaction import writing
from db.uploads import KIND, Upload, complete_upload, forget_upload, sent_key

__all__ = ["IncomingFiles", "Whole", "store_errors"]

log = logging.getLogger(__name__)


class Whole(Struct, frozen=True):
    """A file that is in the store, and its type by its content."""

    stored: Stored
    media_type: str


class IncomingFiles:
    """Writes files of members to the store. `largest` is in bytes."""

    def __init__(self, pool: Pool, store: ObjectStore | None, largest: int) -> None:
        self._pool, self._store, self.largest = pool, store, largest

    @property
    def store(self) -> ObjectStore:
        """The store. Raises Unavailable where there is none."""
        if self._store is None:
            raise Unavailable("No object store is set, in which files could be kept.")
        return self._store

    async def write(self, upload_id: UUID, pieces: AsyncIterator[bytes], name: str, declared: str) -> Whole:
        """Write a file. Raises ObjectTooLarge, Unavailable, and as `pieces` does."""
        head = await _head(pieces)
        media_type = file_type(head, declared)
        with store_errors():
            stored = await self.store.put(
                new_key(KIND, upload_id),
                _after(head, pieces),
                limit=self.largest,
                media_type=media_type,
                name=name,
                inline=media_type in PICTURES,
            )
        return Whole(stored, media_type)

    async def keep(self, user_id: UUID, upload_id: UUID, whole: Whole, traceparent: str) -> None:
        """The file is whole, which its row says from now on; of a picture a thumbnail will be made.

        Raises NotFound("upload") when somebody was quicker, or the upload is over.
        """
        async with writing(self._pool, user_id) as tx:
            kept = await complete_upload(tx, upload_id, whole.stored, whole.media_type)
            if kept and whole.media_type in PICTURES:
                await outbox.put(tx, outbox.JOBS, PURPOSE, upload_id, traceparent=traceparent)
        if not kept:
            with store_errors():
                await self.store.delete(whole.stored.key)
            raise NotFound("upload")

    async def check(self, upload: Upload) -> Whole:
        """Read what was sent directly into its final place. Raises Conflict when it is not what was announced."""
        place = sent_key(upload.id)
        try:
            with store_errors():
                if await self.store.size(place) != upload.claimed_size:
                    raise _differs()
                sent = await self.store.get(place)
            whole = await self.write(upload.id, sent, upload.name, upload.media_type)
        except ObjectMissing as error:
            raise Conflict("upload-missing", "The file has not come yet: send it to the address first.") from error
        if (whole.stored.size, whole.stored.sha256) != (upload.claimed_size, upload.claimed_sha256):
            raise _differs()
        return whole

    @asynccontextmanager
    async def forgetting(self, user_id: UUID, upload_id: UUID) -> AsyncIterator[None]:
        """Around what is done with an upload: whatever its team has not taken by the end is over.

        A change whose outcome is not known is no exception: the team takes no file that is over.
        """
        try:
            yield
        finally:
            with suppress(StorageUnavailable):  # Then it ends by itself, within the hour.
                async with writing(self._pool, user_id) as tx:
                    await forget_upload(tx, upload_id)


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise Unavailable when the store does not answer."""
    try:
        yield
    except ObjectStoreUnavailable as error:
        log.warning("the object store does not answer: %s", error)
        raise Unavailable("The object store does not answer.") from error


def _differs() -> Conflict:
    return Conflict("upload-differs", "The file is not the one that was announced: its size or digest differs.")


async def _head(pieces: AsyncIterator[bytes]) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES and (piece := await anext(pieces, None)) is not None:
        head += piece
    return head


async def _after(head: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for piece in pieces:
        yield piece
