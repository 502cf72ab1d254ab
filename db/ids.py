"""Ids as the driver makes them: UUIDs that hash, compare, parse and print many times faster than the standard ones.

They are `uuid.UUID`s (`asyncpg.pgproto` subclasses it) and equal to those. Rows come with them anyway; ids made or
parsed here are of the same kind, so that looking a task up does not compare two kinds of UUID.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

import uuid_utils
from asyncpg.pgproto import pgproto

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LAST_ID", "NO_ID", "first_at", "id_at", "made_at", "new_id", "uuid_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

uuid_of = cast("Callable[[str | bytes], UUID]", pgproto.UUID)
"""A UUID from its text, or from 16 bytes. Raises ValueError."""


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid_of(uuid_utils.uuid7().bytes)


def id_at(moment: datetime) -> UUID:
    """A fresh UUIDv7 as if made at this moment."""
    return uuid_of(uuid_utils.uuid7(nanoseconds=_micros(moment) * 1_000).bytes)


def first_at(moment: datetime) -> UUID:
    """The least id that a UUIDv7 of this moment can have, and what all made before it are less than."""
    return uuid_of(((_micros(moment) // 1_000) << 80).to_bytes(16, "big"))


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def made_at(made: UUID) -> datetime:
    """When a UUIDv7 was made: its first 48 bits are ms since 1970 (RFC 9562, 5.7)."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC)


NO_ID: Final = uuid_of(bytes(16))
"""An id that nothing has."""

LAST_ID: Final = uuid_of(b"\xff" * 16)
"""Comes after every other id: where a list that is read backwards begins."""
