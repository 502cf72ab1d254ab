"""Shorthand for asking a team in tests."""

from typing import Any
from uuid import UUID

from core.ask import Ask
from core.principal import Principal

__all__ = ["by"]


def by(user_id: UUID | str, **more: Any) -> Ask:
    """An ask by this user; `more` are further fields of it."""
    return Ask(Principal.of_user(UUID(str(user_id))), **more)


def session_of(principal: Principal) -> UUID:
    """The session of somebody who has logged in."""
    assert principal.session_id is not None
    return principal.session_id
