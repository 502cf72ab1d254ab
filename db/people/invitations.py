"""Invitations into a team: by mail, bound to an address, or by a link, bound to nobody.

A token has 256 bits and is stored as its SHA-256 only. That of a link is random and shown once. That of a mail is the
HMAC of the mail's job in the outbox, so that every attempt to send it says the same, and no table or topic holds it.
Revoked, expired, used and unknown tokens are alike: there is no row for them.
How they are accepted is in `db/people/acceptances.py`.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct
from piccolo.query.functions import Lower
from piccolo.query.functions.aggregate import Count

from core.errors import Conflict, Forbidden, NotFound, QuotaReached
from core.permissions import Role
from db.expressions import NOW, ahead, folded, limited
from db.ids import LAST_ID, new_id
from db.keyset import Keyset
from db.outbox import MAIL, put
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, columns, given, insert, rows, values
from db.tables import Invitations as InvitationTable
from db.tables import Memberships, Teams, Users
from db.tokens import mail_token, mail_token_of_hash, shown, token_hash
from db.transaction import Reading, Writing, reading

__all__ = [
    "MAIL_PURPOSE",
    "Invitation",
    "InvitationMail",
    "Invitations",
    "Made",
    "Wanted",
    "for_mail",
    "forget_expired_invitations",
]

MAIL_PURPOSE: Final = "invitation"
PREFIX: Final = "tfi_"
TOKEN_BYTES: Final = 32


class Invitation(Struct, frozen=True):
    """An invitation that can still be accepted. `email` is None for a link."""

    id: UUID
    email: str | None
    role: Role
    invited_by: UUID
    created_at: datetime
    expires_at: datetime
    max_uses: int
    uses: int


class Wanted(Struct, frozen=True):
    """An invitation to make: good for so many `seconds` and uses; `email` is None for a link."""

    team_id: UUID
    invited_by: UUID
    role: Role
    email: str | None
    seconds: int
    max_uses: int


class Made(Struct, frozen=True):
    """The new invitation, and the token of a link; that of a mail is None, because only the mail tells it."""

    invitation: Invitation
    token: str | None


class InvitationMail(Struct, frozen=True):
    """What the mail of an invitation says."""

    email: str
    role: Role
    expires_at: datetime
    team_name: str
    inviter_name: str
    token: str


class Invitations:
    """Makes, shows, revokes and accepts invitations. Raises StorageUnavailable."""

    def __init__(self, pool: Pool, keyset: Keyset, most: int) -> None:
        """`most` is how many open ones a team may have."""
        self._pool, self._keyset, self._most = pool, keyset, most

    async def role_of(self, user_id: UUID, team_id: UUID) -> Role:
        """The user's role as it is committed now, whatever memory says. Raises NotFound("team")."""
        async with reading(self._pool, user_id) as tx:
            own = await tx.one(_MEMBERSHIP, user_id=user_id, team_id=team_id)
        if own is None:
            raise NotFound("team")
        return own.role

    async def invite_in(self, tx: Writing, wanted: Wanted, traceparent: str = "") -> Made:
        """Make an invitation, in a transaction of the inviter's; one by mail has its mail in the outbox.

        Raises Conflict for an address that is a member's or is invited already, QuotaReached, and Forbidden for
        somebody who is no admin (any more).
        """
        await tx.alone(f"invitations of {wanted.team_id}")
        if (await tx.one(_NUMBER, team_id=wanted.team_id) or 0) >= self._most:
            detail = f"This team has {self._most} open invitations, and may have no more: revoke some first."
            raise QuotaReached("invitations-per-team", self._most, detail)
        invitation_id, token = new_id(), shown(PREFIX, secrets.token_bytes(TOKEN_BYTES))
        if wanted.email is not None:
            if await tx.one(_INVITED, team_id=wanted.team_id, email=wanted.email) is not None:
                detail = "This address is invited already: revoke that invitation first."
                raise Conflict("already-invited", detail, pointer="/email")
            job_id = await put(tx, MAIL, MAIL_PURPOSE, invitation_id, traceparent=traceparent)
            token = mail_token(self._keyset, PREFIX, MAIL_PURPOSE, job_id)
        try:
            await _add(tx, invitation_id, token, wanted)
        except asyncpg.InsufficientPrivilegeError as error:
            # Row-level security: the role sank after it was looked at.
            raise Forbidden("manage_members") from error
        made = await self.one_in(tx, wanted.team_id, invitation_id)
        return Made(made, token if wanted.email is None else None)

    async def account_in(self, tx: Reading, email: str) -> UUID | None:
        """Whose address this is, in any case."""
        await tx.scope_email(email)
        return await tx.one(_BY_ADDRESS, email=email)

    async def list(self, user_id: UUID, team_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Invitation]:
        """Open invitations of a team whose admin the user is, newest first."""
        async with reading(self._pool, user_id) as tx:
            return await tx.all(_OPEN, team_id=team_id, before=before or LAST_ID, limit=limit)

    async def one(self, user_id: UUID, team_id: UUID, invitation_id: UUID) -> Invitation:
        """An open invitation of a team whose admin the user is. Raises NotFound."""
        async with reading(self._pool, user_id) as tx:
            return await self.one_in(tx, team_id, invitation_id)

    async def one_in(self, tx: Reading, team_id: UUID, invitation_id: UUID) -> Invitation:
        """`one` inside a transaction of the user's."""
        found = await tx.one(_ONE, team_id=team_id, invitation_id=invitation_id)
        if found is None:
            raise NotFound("invitation")
        return found

    async def revoke_in(self, tx: Writing, team_id: UUID, invitation_id: UUID) -> None:
        """End an open invitation, which was found by `one_in` in the same transaction."""
        await tx.run(_REVOKE, team_id=team_id, invitation_id=invitation_id)


async def for_mail(tx: Reading, keyset: Keyset, invitation_id: UUID, job_id: UUID) -> InvitationMail | None:
    """What the mail of an invitation says; None when there is nothing to send (any more).

    For a transaction of the worker's role.
    """
    found = await tx.one(_TO_SEND, invitation_id=invitation_id)
    if found is None or found.email is None:
        return None
    team = await tx.one(_TEAM_NAME, team_id=found.team_id)
    inviter = await tx.one(_NAME, user_id=found.invited_by)
    token = mail_token_of_hash(keyset, PREFIX, MAIL_PURPOSE, job_id, found.token_hash)
    if team is None or inviter is None or token is None:
        return None
    return InvitationMail(found.email, found.role, found.expires_at, team, inviter, token)


async def forget_expired_invitations(pool: Pool) -> int:
    """Delete invitations that expired, with their addresses; how many. For the worker pool."""
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, limit=limit))


class _Membership(Struct, frozen=True):
    role: Role


class _ToSend(Struct, frozen=True):
    team_id: UUID
    email: str | None
    role: Role
    invited_by: UUID
    expires_at: datetime
    token_hash: bytes


async def _add(tx: Writing, invitation_id: UUID, token: str, wanted: Wanted) -> None:
    await tx.run(
        _ADD,
        id=invitation_id,
        team_id=wanted.team_id,
        token_hash=token_hash(token),
        email=wanted.email,
        role=wanted.role,
        invited_by=wanted.invited_by,
        seconds=float(wanted.seconds),
        max_uses=wanted.max_uses,
    )


_MEMBERSHIP: Final = rows(
    _Membership,
    Memberships.select(Memberships.role).where(
        Memberships.team_id == given("team_id"), Memberships.user_id == given("user_id")
    ),
)
_NAME: Final = values(str, Users.select(Users.name).where(Users.id == given("user_id")))
_TEAM_NAME: Final = values(str, Teams.select(Teams.name).where(Teams.id == given("team_id")))
_BY_ADDRESS: Final = values(UUID, Users.select(Users.id).where(Lower(Users.email) == folded(given("email"))))
_IS_OPEN: Final = (InvitationTable.expires_at > NOW, InvitationTable.uses < InvitationTable.max_uses)
_OF_TEAM: Final = (InvitationTable.team_id == given("team_id"), *_IS_OPEN)

_NUMBER: Final = values(int, InvitationTable.select(Count()).where(*_OF_TEAM))
_INVITED: Final = values(
    UUID,
    InvitationTable.select(InvitationTable.id).where(*_OF_TEAM, Lower(InvitationTable.email) == folded(given("email"))),
)
_ADD: Final = change(
    insert(
        InvitationTable,
        id=given("id"),
        team_id=given("team_id"),
        token_hash=given("token_hash"),
        email=given("email"),
        role=given("role"),
        invited_by=given("invited_by"),
        created_at=NOW,
        expires_at=ahead(given("seconds")),
        max_uses=given("max_uses"),
        uses=0,
    )
)
_OPEN: Final = rows(
    Invitation,
    limited(
        InvitationTable.select(*columns(InvitationTable, Invitation))
        .where(*_OF_TEAM, InvitationTable.id < given("before"))
        .order_by(InvitationTable.id, ascending=False),
        given("limit"),
    ),
)
_ONE: Final = rows(
    Invitation,
    InvitationTable.select(*columns(InvitationTable, Invitation)).where(
        *_OF_TEAM, InvitationTable.id == given("invitation_id")
    ),
)
_REVOKE: Final = change(
    InvitationTable.delete().where(
        (InvitationTable.team_id == given("team_id")) & (InvitationTable.id == given("invitation_id"))
    )
)
_TO_SEND: Final = rows(
    _ToSend,
    InvitationTable.select(*columns(InvitationTable, _ToSend)).where(
        InvitationTable.id == given("invitation_id"), *_IS_OPEN
    ),
)
_FORGET: Final = change(
    InvitationTable.delete().where(
        InvitationTable.id.is_in(
            limited(InvitationTable.select(InvitationTable.id).where(InvitationTable.expires_at < NOW), given("limit"))
        )
    )
)
