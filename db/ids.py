"""Ids as the driver makes them: UUIDs that hash, compare, parse and print many times faster than the standard ones.

They are `uuid.UUID`s (`asyncpg.pgproto` subclasses it) and equal to those. Rows come with them anyway; ids made or
parsed here are of the same kind, so that looking a task up does not compare two kinds of UUID.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

import uuid_utils
from asyncpg.pgproto import pgproto

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LAST_ID", "NO_ID", "made_at", "new_id", "uuid_of"]

uuid_of = cast("Callable[[str | bytes], UUID]", pgproto.UUID)
"""A UUID from its text, or from 16 bytes. Raises ValueError."""


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid_of(uuid_utils.uuid7().bytes)


def made_at(made: UUID) -> datetime:
    """When a UUIDv7 was made: its first 48 bits are ms since 1970 (RFC 9562, 5.7)."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC)


NO_ID: Final = uuid_of(bytes(16))
"""An id that nothing has."""

LAST_ID: Final = uuid_of(b"\xff" * 16)
"""Comes after every other id: where a list that is read backwards begins."""
