"""What every actor of a process shares."""

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from msgspec import Struct

from actors.committer import Committer
from actors.ports import Clock, Feed, Journal, NewId, Snapshots
from actors.settings import ActorSettings
from core.commands import Zones
from core.quotas import Quotas

__all__ = ["ActorContext"]


class ActorContext(Struct, frozen=True):
    """`spawn` runs a coroutine in the system's task group; `forget` drops the actor of a team that does not exist."""

    journal: Journal
    snapshots: Snapshots
    feed: Feed
    clock: Clock
    new_id: NewId
    committer: Committer
    settings: ActorSettings
    quotas: Quotas
    zones: Zones
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    forget: Callable[[UUID], None]
