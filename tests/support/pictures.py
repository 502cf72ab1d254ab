"""Pictures as files, and as objects that wait for their thumbnails."""

import io
from collections.abc import AsyncIterator
from uuid import UUID

import uuid_utils.compat as uuids
from PIL import Image

from db import objects, outbox
from db.object_store import ObjectStore
from db.pool import Pools
from db.thumbnails import PURPOSE
from db.transaction import writing

__all__ = ["an_image", "png"]


def png(width: int, height: int, colour: str = "crimson") -> bytes:
    """A picture of one colour; the sizes are pixels."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


async def an_image(pools: Pools, store: ObjectStore, data: bytes) -> UUID:
    """A whole object, and the job to make a thumbnail of it."""

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    async with writing(pools.worker) as tx:
        object_id = await objects.reserve(
            tx, user_id=uuids.uuid7(), kind="attachment", name="a.png", media_type="image/png", team_id=uuids.uuid7()
        )
    key = objects.new_key("attachment", object_id)
    stored = await store.put(key, chunks(), limit=10**8, media_type="image/png", name="a.png")
    async with writing(pools.worker) as tx:
        await objects.complete(tx, object_id, stored, seconds=3600)
        await outbox.put(tx, outbox.JOBS, PURPOSE, object_id)
    return object_id
