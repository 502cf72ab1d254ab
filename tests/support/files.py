"""Files to attach, and shorthands for attaching them at a desk."""

import hashlib
from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.desk import Desk

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"
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
