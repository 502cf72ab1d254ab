"""Parts: the units that the composition root starts and stops, and the names by which operators choose them.

This module imports the standard library only, so that the command line can offer the names without loading a part.
"""

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from msgspec import Struct

__all__ = ["API", "PARTS", "ROLES", "TEAMS", "Part"]

PARTS: Final = (
    "relay",
    "notifications",
    "mail",
    "operations",
    "redaction",
    "thumbnails",
    "search",
    "history",
    "recurrence",
    "webhooks",
    "reports",
    "scheduler",
)
"""What a worker does, in the words of `taskforge worker --only`, `/readyz` and the metrics."""

API: Final = frozenset({"api"})
"""The role of a process that serves requests, or that does by itself what requests do."""

TEAMS: Final = frozenset({"teams"})
"""The role of a process that asks teams without serving anybody; it goes along with any part of a worker."""

ROLES: Final = frozenset({*API, *TEAMS, *PARTS})


class Part(Protocol):
    """Something that runs from its start until it is stopped, and says how it does."""

    @property
    def name(self) -> str:
        """One word, unique in the process."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it does its work now."""
        ...

    def statistics(self) -> "Struct":
        """A frozen picture of what it has done and has to do."""
        ...

    def stop(self) -> None:
        """Finish what is in hand and return from `run`."""
        ...

    async def run(self, *, task_status: "TaskStatus[None]") -> None:
        """Run until stopped. Started means running; whether its work can be done yet is what `ready` says."""
        ...
