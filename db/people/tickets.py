"""Live tickets: what a browser puts into a WebSocket's address instead of its access token. Single use, 30 seconds.

They are stored under their SHA-256, so that reading the table gives nobody a usable one.
"""

import secrets
from typing import Final
from uuid import UUID

from msgspec import Struct
from piccolo.query.functions.aggregate import Count

from core.errors import TooManyAtOnce
from core.principal import Principal
from core.quotas import Quotas
from db.expressions import NOW, ahead, limited
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, given, insert, returned, values
from db.tables import LiveTickets
from db.tokens import token_hash
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
    """Issues and redeems tickets. Both raise StorageUnavailable: there is no second way in.

    Those that are not used are counted by user and by client address, over all processes.
    """

    def __init__(self, pool: Pool, quotas: Quotas) -> None:
        self._pool = pool
        self._quotas = quotas

    async def issue(self, principal: Principal, team_id: UUID | None = None, network: str = "") -> str:
        """A ticket good for one connection within 30 s: to this team's feed, or to any when `team_id` is None.

        `network` is the client's, "" where it has none. Raises TooManyAtOnce.
        """
        async with writing(self._pool, principal.user_id) as tx:
            return await self.issue_in(tx, principal, team_id, network)

    async def issue_in(self, tx: Writing, principal: Principal, team_id: UUID | None = None, network: str = "") -> str:
        """`issue` inside a transaction of the user's."""
        assert principal.session_id is not None, "only sessions need tickets: a key is sent as a header"
        await self._refuse_too_many(tx, principal.user_id, network)
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        await tx.run(
            _ISSUE,
            ticket_hash=token_hash(ticket),
            user_id=principal.user_id,
            session_id=principal.session_id,
            team_id=team_id,
            network=network or None,
            seconds=float(TICKET_SECONDS),
        )
        return ticket

    async def _refuse_too_many(self, tx: Writing, user_id: UUID, network: str) -> None:
        """Unused ones count, under locks that are always taken in this order."""
        most = self._quotas.tickets_per_user
        await tx.alone(f"live tickets of {user_id}")
        if (await tx.one(_OF_USER, user_id=user_id) or 0) >= most:
            detail = f"You have {most} live tickets that are not used yet: use them, or wait until they end."
            raise TooManyAtOnce("tickets-per-user", most, detail, TICKET_SECONDS)
        most = self._quotas.tickets_per_address
        if not (network and most):
            return
        await tx.alone(f"live tickets from {network}")
        await tx.scope("app.network", network)
        if (await tx.one(_OF_NETWORK, network=network) or 0) >= most:
            detail = f"From your address {most} live tickets were asked for and are not used yet."
            raise TooManyAtOnce("tickets-per-address", most, detail, TICKET_SECONDS)

    async def redeem(self, ticket: str, team_id: UUID | None = None) -> Principal | None:
        """Whose ticket this is, once; None when it is unknown, used, expired, or was issued for another team.

        Whether the session was revoked meanwhile, and the role in the team, are still the caller's to check.
        """
        if not 0 < len(ticket) <= LONGEST_TICKET or not ticket.isascii():
            return None
        spent = token_hash(ticket)
        async with writing(self._pool) as tx:
            await tx.scope("app.token_hash", spent.hex())
            grant = await tx.one(_SPEND, ticket_hash=spent)
        if grant is None or grant.team_id not in (None, team_id):
            return None
        return Principal.of_user(grant.user_id, grant.session_id)


async def forget_unused_tickets(pool: Pool) -> int:
    """Delete tickets that expired unused; how many. For the worker pool. Raises StorageUnavailable."""
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, limit=limit))


_ISSUE: Final = change(
    insert(
        LiveTickets,
        ticket_hash=given("ticket_hash"),
        user_id=given("user_id"),
        session_id=given("session_id"),
        team_id=given("team_id"),
        network=given("network"),
        expires_at=ahead(given("seconds")),
    )
)
_OF_USER: Final = values(
    int, LiveTickets.select(Count()).where(LiveTickets.user_id == given("user_id"), LiveTickets.expires_at > NOW)
)
_OF_NETWORK: Final = values(
    int, LiveTickets.select(Count()).where(LiveTickets.network == given("network"), LiveTickets.expires_at > NOW)
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
