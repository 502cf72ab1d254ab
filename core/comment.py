"""A comment as the domain knows it: its text as it is stored, in which mentions stand as ids (`mentions.py`)."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from core.task import DESCRIPTION_BYTES

__all__ = ["COMMENT_BYTES", "Comment", "CommentBody"]

COMMENT_BYTES: Final = DESCRIPTION_BYTES

CommentBody = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=COMMENT_BYTES,
        description="Markdown, at most 64 KiB of UTF-8. `@` and a member's name mentions them.",
    ),
]


class Comment(Struct, frozen=True, kw_only=True, gc=False):
    """What somebody said about a task, after its last change. `version` is the team's `seq` of that change.

    `body` is Markdown, in which `<@user-id>` stands for each of the `mentions`; an id that is not among them is text
    that somebody has written. Only `author_id` edits it.
    """

    id: UUID
    task_id: UUID
    author_id: UUID
    body: str
    mentions: tuple[UUID, ...] = ()
    created_at: datetime
    updated_at: datetime
    version: int
