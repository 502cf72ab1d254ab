"""Files to attach, and shorthands for attaching them at a desk."""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from db.object_store import Stored
from db.thumbnails import keep_thumbnail
from db.transaction import writing
from tests.support.desk import RANDOM, Desk

PNG = (
    b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\x0bIDATx\xdac\xf8\x0f\x04\x00\x09\xfb\x03\xfdh\xfa\x1c\xcc\x00\x00\x00\x00IEND\xaeB`\x82"
)
"""One pixel."""


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def attach(
    desk: Desk,
    task_id: str,
    data: bytes = b"some text",
    name: str = "notes.txt",
    media_type: str = "text/plain",
    who: str = "owner",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """The answer to a form with this file."""
    files = {"file": (name, data, media_type)}
    path = f"/v1/tasks/{task_id}/attachments"
    return await desk.ask("POST", path, who, files=files, headers=dict(headers or {}))


async def attached(desk: Desk, task_id: str, data: bytes = b"some text", name: str = "notes.txt", **more: Any) -> Any:
    """The attachment that came of it."""
    answer = await attach(desk, task_id, data, name, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def begun(desk: Desk, task_id: str, data: bytes, who: str = "owner", **more: Any) -> httpx.Response:
    """The answer to the beginning of a direct upload of this data."""
    body = {"name": "plan.pdf", "size": len(data), "media_type": "application/pdf", "digest": digest_of(data), **more}
    return await desk.post(f"/v1/tasks/{task_id}/attachments/uploads", body, who)


async def picture(desk: Desk, task_id: str) -> str:
    """A picture of the task's, with a thumbnail; its id."""
    file = await attached(desk, task_id, PNG, "one.png", media_type="image/png")
    stored = Stored(f"attachment/{file['id']}/thumbnail", 1, bytes(32))
    async with writing(desk.site.services.pools.worker) as tx:
        assert await keep_thumbnail(tx, UUID(file["id"]), stored)
    return str(file["id"])


async def uploaded(desk: Desk, task_id: str, who: str = "owner") -> str:
    """An upload whose file has come, by its id; a made-up one for whoever may begin none."""
    data = b"a file"
    answer = await begun(desk, task_id, data, who)
    if not answer.is_success:
        return RANDOM
    signed = answer.json()
    assert (await desk.client.put(signed["url"], content=data)).is_success
    return str(signed["upload_id"])
