"""Who has a task by an event, as far as anybody has to be notified of it."""

from typing import Final
from uuid import UUID

from core.events import AnyEvent, TaskCreated, TaskUpdated

__all__ = ["ASSIGNING_TYPES", "newly_assigned"]

ASSIGNING_TYPES: Final = frozenset({TaskCreated.type, TaskUpdated.type})
"""The only types of events by which somebody can be given a task."""


def newly_assigned(event: AnyEvent) -> UUID | None:
    """The user to whom this event gave a task; None when it gave it to nobody, or when they took it themselves.

    A task that keeps its assignee through some other change is not given again.
    """
    match event:
        case TaskCreated(task=task):
            assignee_id = task.assignee_id
        case TaskUpdated(task=task, previous=previous) if "assignee_id" in previous:
            assignee_id = task.assignee_id
        case _:
            return None
    return assignee_id if assignee_id != event.actor_id else None
