"""Live tickets: what a browser puts into a WebSocket's address instead of its access token. Single use, 30 seconds.

Valkey holds them under the SHA-256 of the ticket, so that reading Valkey gives nobody a usable one.
"""

import hashlib
import secrets
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from valkey.asyncio import Valkey

from core.errors import Unavailable
from core.principal import Principal
from db.valkey import ValkeyUnavailable, valkey_errors

__all__ = ["TICKET_SECONDS", "Tickets"]

TICKET_SECONDS: Final = 30
TICKET_BYTES: Final = 32
LONGEST_TICKET: Final = 64


class _Grant(Struct, array_like=True):
    user_id: UUID
    session_id: UUID
    team_id: UUID | None


class Tickets:
    """Issues and redeems tickets. Both raise `Unavailable` while Valkey is away: there is no second way in."""

    def __init__(self, client: Valkey) -> None:
        self._client = client
        self._encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
        self._decoder = msgspec.msgpack.Decoder(_Grant)

    async def issue(self, principal: Principal, team_id: UUID | None = None) -> str:
        """A ticket good for one connection within 30 s: to this team's feed, or to any when `team_id` is None."""
        assert principal.session_id is not None, "only sessions need tickets: a key is sent as a header"
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        grant = self._encode(_Grant(principal.user_id, principal.session_id, team_id))
        try:
            with valkey_errors():
                await self._client.set(_key(ticket), grant, ex=TICKET_SECONDS)
        except ValkeyUnavailable as error:
            raise Unavailable("Live tickets cannot be issued right now.") from error
        return ticket

    async def redeem(self, ticket: str, team_id: UUID | None = None) -> Principal | None:
        """Whose ticket this is, once; None when it is unknown, used, expired, or was issued for another team.

        Whether the session was revoked meanwhile, and the role in the team, are still the caller's to check.
        """
        if not 0 < len(ticket) <= LONGEST_TICKET or not ticket.isascii():
            return None
        try:
            with valkey_errors():
                found: bytes | None = await self._client.getdel(_key(ticket))
        except ValkeyUnavailable as error:
            raise Unavailable("Live tickets cannot be checked right now.") from error
        return None if found is None else self._admit(found, team_id)

    def _admit(self, found: bytes, team_id: UUID | None) -> Principal | None:
        try:
            grant = self._decoder.decode(found)
        except msgspec.MsgspecError:
            return None
        if grant.team_id is not None and grant.team_id != team_id:
            return None
        return Principal.of_user(grant.user_id, grant.session_id)


def _key(ticket: str) -> bytes:
    return b"taskforge:ticket:" + hashlib.sha256(ticket.encode()).hexdigest().encode()
