"""Who asks, once proven: a person in a session, an API key or an agent of theirs, or this system in their name."""

from collections.abc import Iterable
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

__all__ = ["EVERY_SCOPE", "ActorKind", "Principal", "Scope"]

ActorKind = Literal["user", "key", "agent", "system"]
"""By what a change was asked for: the user's own hand, an API key of theirs, an agent for them, or this system."""

Scope = Literal["read", "write", "admin"]
"""How far a key reaches; each includes the ones before it."""

_INCLUDED: Final[dict[Scope, frozenset[Scope]]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
    "admin": frozenset({"read", "write", "admin"}),
}
EVERY_SCOPE: Final = _INCLUDED["admin"]


class Principal(Struct, frozen=True):
    """`id` is what idempotency keys belong to: the user's, or the API key's. `user_id` is always the user's.

    Roles are no part of it: they live in the team's state. `team_id` is set for a key that is good for one team only.
    """

    id: UUID
    user_id: UUID
    kind: ActorKind = "user"
    session_id: UUID | None = None
    key_id: UUID | None = None
    scopes: frozenset[Scope] = EVERY_SCOPE
    team_id: UUID | None = None

    @classmethod
    def of_user(cls, user_id: UUID, session_id: UUID | None = None) -> "Principal":
        """A user, in a session unless a program that runs here acts in their name."""
        return cls(user_id, user_id, session_id=session_id)

    @classmethod
    def of_key(
        cls, key_id: UUID, user_id: UUID, scopes: Iterable[Scope], *, team_id: UUID | None = None, agent: bool = False
    ) -> "Principal":
        """An API key of the user's, or an agent that was given one."""
        reach = frozenset[Scope]().union(*(_INCLUDED[scope] for scope in scopes))
        return cls(key_id, user_id, "agent" if agent else "key", None, key_id, reach, team_id)

    @classmethod
    def of_system(cls, user_id: UUID) -> "Principal":
        """This system, on account of a user, who need not be a member of anything any more."""
        return cls(user_id, user_id, "system")

    @property
    def credential_id(self) -> UUID | None:
        """What can be revoked: the session or the API key; None for a program that runs here."""
        return self.session_id or self.key_id

    def reaches(self, team_id: UUID) -> bool:
        """Whether the team is one that this principal may know of, as far as the key's own limit goes."""
        return self.team_id is None or self.team_id == team_id
