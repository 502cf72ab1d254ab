"""What is left of a team that was deleted, and what it is called once its history is forgotten."""

from typing import Final
from uuid import UUID

from msgspec import Struct

__all__ = ["DELETED_TEAM", "GONE_KEY", "DeletedTeam"]

DELETED_TEAM: Final = "Deleted team"
GONE_KEY: Final = "GONE"
"""Where the team's key stood, also in the keys of its tasks."""


class DeletedTeam(Struct, frozen=True, kw_only=True, gc=False):
    """Which team is gone."""

    id: UUID
