"""A comment as the domain knows it: its text as it is stored, in which mentions stand as ids (`mentions.py`)."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from core.task import DESCRIPTION_BYTES
from core.text import clean_lines, is_visible

__all__ = ["COMMENT_BYTES", "Comment", "CommentBody", "clean_comment"]

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


def clean_comment(text: str) -> str:
    """What somebody says, as `clean_lines` gives it, with something to be seen in it. Raises ValueError."""
    lines = clean_lines(text)
    if not is_visible(lines):
        raise ValueError("text must not be blank: it needs a visible character")
    return lines
