"""Live tickets: what a browser puts into a WebSocket's address instead of its access token. Single use, 30 seconds.

They are stored under their SHA-256, so that reading the table gives nobody a usable one.
"""

import hashlib
import secrets
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.principal import Principal
from db.expressions import NOW, ahead, limited
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, given, insert, returned
from db.tables import LiveTickets
from db.transaction import Writing, writing

__all__ = ["TICKET_SECONDS", "Tickets", "forget_unused_tickets"]

TICKET_SECONDS: Final = 30
TICKET_BYTES: Final = 32
LONGEST_TICKET: Final = 64


class _Grant(Struct, frozen=True):
    user_id: UUID
    session_id: UUID
    team_id: UUID | None


class Tickets:
    """Issues and redeems tickets. Both raise StorageUnavailable: there is no second way in."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def issue(self, principal: Principal, team_id: UUID | None = None) -> str:
        """A ticket good for one connection within 30 s: to this team's feed, or to any when `team_id` is None."""
        async with writing(self._pool, principal.user_id) as tx:
            return await self.issue_in(tx, principal, team_id)

    async def issue_in(self, tx: Writing, principal: Principal, team_id: UUID | None = None) -> str:
        """`issue` inside a transaction of the user's."""
        assert principal.session_id is not None, "only sessions need tickets: a key is sent as a header"
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        await tx.run(
            _ISSUE,
            ticket_hash=_hash(ticket),
            user_id=principal.user_id,
            session_id=principal.session_id,
            team_id=team_id,
            seconds=float(TICKET_SECONDS),
        )
        return ticket

    async def redeem(self, ticket: str, team_id: UUID | None = None) -> Principal | None:
        """Whose ticket this is, once; None when it is unknown, used, expired, or was issued for another team.

        Whether the session was revoked meanwhile, and the role in the team, are still the caller's to check.
        """
        if not 0 < len(ticket) <= LONGEST_TICKET or not ticket.isascii():
            return None
        spent = _hash(ticket)
        async with writing(self._pool) as tx:
            await tx.scope("app.token_hash", spent.hex())
            grant = await tx.one(_SPEND, ticket_hash=spent)
        if grant is None or grant.team_id not in (None, team_id):
            return None
        return Principal.of_user(grant.user_id, grant.session_id)


async def forget_unused_tickets(pool: Pool) -> int:
    """Delete tickets that expired unused; how many. For the worker pool. Raises StorageUnavailable."""
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, limit=limit))


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()


_ISSUE: Final = change(
    insert(
        LiveTickets,
        ticket_hash=given("ticket_hash"),
        user_id=given("user_id"),
        session_id=given("session_id"),
        team_id=given("team_id"),
        expires_at=ahead(given("seconds")),
    )
)
_SPEND: Final = returned(
    _Grant,
    LiveTickets.delete()
    .where((LiveTickets.ticket_hash == given("ticket_hash")) & (LiveTickets.expires_at > NOW))
    .returning(LiveTickets.user_id, LiveTickets.session_id, LiveTickets.team_id),
)
_FORGET: Final = change(
    LiveTickets.delete().where(
        LiveTickets.ticket_hash.is_in(
            limited(LiveTickets.select(LiveTickets.ticket_hash).where(LiveTickets.expires_at < NOW), given("limit"))
        )
    )
)
