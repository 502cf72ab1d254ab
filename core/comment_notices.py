"""Whom a comment newly mentions, as far as anybody has to be notified of it."""

from typing import Final
from uuid import UUID

from core.events import AnyEvent, CommentAdded, CommentEdited

__all__ = ["COMMENTING_TYPES", "newly_mentioned"]

COMMENTING_TYPES: Final = frozenset({CommentAdded.type, CommentEdited.type})
"""The only types of events by which somebody says something."""


def newly_mentioned(event: AnyEvent) -> tuple[UUID, ...]:
    """Those whom the comment mentions by this event, and did not mention before; never whoever wrote it."""
    match event:
        case CommentAdded(comment=comment):
            known = frozenset[UUID]()
        case CommentEdited(comment=comment, previous=previous):
            known = frozenset(map(_id, previous.get("mentions", comment.mentions)))
        case _:
            return ()
    return tuple(one for one in comment.mentions if one not in known and one != event.actor_id)


def _id(value: UUID | str) -> UUID:
    """An id of `previous`, which is text in an event that was read back."""
    return value if isinstance(value, UUID) else UUID(value)
