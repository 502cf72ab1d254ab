"""Makes a small picture of each image that is attached: at least once, and kept once."""

import logging
from pathlib import Path
from typing import Final
from uuid import UUID

import anyio

from db import outbox
from db.ids import new_id
from db.object_store import ObjectMissing, ObjectStore, Stored
from db.pool import Pool
from db.thumbnails import PURPOSE, THUMBNAIL_TYPE, Image, find_image, keep_thumbnail, thumbnail_key
from db.transaction import reading, writing
from streams.consumers.jobs import Job, asked_at, id_of, read_job
from streams.consumers.outbound import Outbound, outbound
from streams.consumers.plan import ConsumerPlan
from streams.scratch import scratch_folder
from streams.thumbnails.making import CannotBeMade, make_picture

__all__ = ["NAME", "thumbnails"]

log = logging.getLogger(__name__)

NAME: Final = "thumbnails"
SECONDS: Final = 60.0
BATCH: Final = 4
"""Images between two answers to the broker: each may take a minute."""
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of a picture: some hundred times as many as one has."""


class NoStore(Exception):
    """This process has no object store; the job is tried again and then kept as a dead letter."""


def thumbnails(pool: Pool, store: ObjectStore | None) -> ConsumerPlan:
    """The consumer group `taskforge.thumbnails`, over the worker's pool. Some images stay without a thumbnail."""

    async def make(_: str, job: Job) -> bool:
        async with reading(pool, None) as tx:
            image = await find_image(tx, job.subject)
        if image is None:
            return False
        if store is None:
            raise NoStore("no object store is set: TASKFORGE_OBJECTS__URL")
        try:
            stored = await _made(store, image)
        except (CannotBeMade, ObjectMissing) as error:
            log.info("no thumbnail of %s: %s", image.id, error)
            return False
        async with writing(pool) as tx:
            kept = await keep_thumbnail(tx, image.id, stored)
        if not kept:
            await store.delete(stored.key)
        return kept

    making = Outbound(effect=make, id_of=id_of, at_of=asked_at, concerns=_is_ours, seconds=SECONDS)
    return ConsumerPlan(NAME, outbox.JOBS, outbound(pool, making), read=read_job, batch_records=BATCH)


def _is_ours(job: Job) -> bool:
    return job.purpose == PURPOSE


async def _made(store: ObjectStore, image: Image) -> Stored:
    """The picture, in the store under a key of this attempt's own. Raises CannotBeMade, ObjectMissing."""
    with scratch_folder("picture") as folder:
        source, target = folder / "source", folder / "target"
        async with await anyio.open_file(source, "wb") as file:
            async for chunk in await store.get(image.key):
                await file.write(chunk)
        await make_picture(source, target)
        return await _put(store, image.id, target)


async def _put(store: ObjectStore, object_id: UUID, target: Path) -> Stored:
    async with await anyio.open_file(target, "rb") as file:
        return await store.put(
            thumbnail_key(object_id, new_id()),
            file,
            limit=LARGEST,
            media_type=THUMBNAIL_TYPE,
            name=f"{object_id}.webp",
            inline=True,
        )
