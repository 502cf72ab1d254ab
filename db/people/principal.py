"""Who is asking, once proven."""

from uuid import UUID

from msgspec import Struct

__all__ = ["Principal"]


class Principal(Struct, frozen=True):
    """A user in one of their sessions. Roles are never part of it: they live in the team's state."""

    user_id: UUID
    session_id: UUID
