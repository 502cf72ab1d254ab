"""Accepting invitations: who holds a token takes a use of its invitation, and the team makes them a member.

Two transactions: a use is taken in one of the user's own, then the team's writer makes the membership, whose own
transaction marks what was taken as done (a trigger, migration 0016). Whoever does not hear of the outcome asks again
with the same token, and goes on with the use that they have taken. Once it is done it is spent, so that an invitation
brings nobody back who was removed since.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from piccolo.query.functions import Lower

from core.errors import Forbidden, NotFound, Unauthenticated
from core.permissions import Role
from db.expressions import NOW, folded
from db.ids import NO_ID
from db.pool import Pool
from db.statements import change, columns, given, insert, rows, values
from db.tables import InvitationAcceptances, Invitations, Memberships, Users
from db.tokens import token_hash
from db.transaction import Writing, writing

__all__ = ["Acceptances", "Taken"]


class Taken(Struct, frozen=True):
    """A use that its taker may turn into a membership, which is `invited_by`'s to give.

    `member`: the user is one already, and nothing was taken.
    """

    team_id: UUID
    invitation_id: UUID
    role: Role
    invited_by: UUID
    name: str
    member: bool


class Acceptances:
    """Takes uses of invitations and gives them back. Raises StorageUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, user_id: UUID, token: str) -> Taken:
        """Take one of the uses of the token's invitation, or go on with the one that this user has taken before.

        One that was mailed verifies the account's address, to which it was. Raises NotFound("invitation"), Forbidden
        when it is for another address, and Unauthenticated when the account is gone.
        """
        digest = token_hash(token)
        async with writing(self._pool, user_id) as tx:
            await tx.scope("app.token_hash", digest.hex())
            # An unknown token is worked on like a used one, so that both take the same time.
            held = await tx.one(_HELD, token_hash=digest) or _ABSENT
            name = await tx.one(_NAME, user_id=user_id)
            if name is None:
                raise Unauthenticated("This account no longer exists.")
            # In this order: a use that is done has made its member, so that one who is none has left since.
            mine = await tx.one(_MINE, invitation_id=held.id, user_id=user_id)
            member = await tx.one(_MEMBER, user_id=user_id, team_id=held.team_id) is not None
            if not member:
                await _take(tx, held, mine, user_id)
        return Taken(held.team_id, held.id, held.role, held.invited_by, name, member)

    async def give_back(self, user_id: UUID, taken: Taken, token: str) -> None:
        """Undo `take` after the team refused, unless a membership came of it after all."""
        names = {"user_id": user_id, "invitation_id": taken.invitation_id}
        digest = token_hash(token)
        async with writing(self._pool, user_id) as tx:
            await tx.scope("app.token_hash", digest.hex())
            # In the order of `take`, so that the two cannot deadlock.
            await tx.one(_HELD, token_hash=digest)
            if await tx.run(_GIVE_BACK, **names):
                await tx.run(_COUNT_DOWN, token_hash=digest)


class _Held(Struct, frozen=True):
    team_id: UUID
    id: UUID
    email: str | None
    role: Role
    invited_by: UUID
    max_uses: int
    uses: int


_ABSENT: Final = _Held(NO_ID, NO_ID, None, "viewer", NO_ID, 0, 0)
"""Used up by nobody, in no team."""


class _Mine(Struct, frozen=True):
    joined_at: datetime | None


async def _take(tx: Writing, held: _Held, mine: _Mine | None, user_id: UUID) -> None:
    if (held.uses >= held.max_uses) if mine is None else (mine.joined_at is not None):
        raise NotFound("invitation")
    if held.email is not None:
        # The token came in a mail to this address and nowhere else: who has it reads the mails that come there.
        if await tx.one(_ADDRESSED, user_id=user_id, email=held.email) is None:
            detail = "This invitation is for another e-mail address than that of your account."
            raise Forbidden("accept_invitation", detail)
        await tx.run(_VERIFY, user_id=user_id)
    if mine is None:
        await tx.run(_TAKE, team_id=held.team_id, invitation_id=held.id, user_id=user_id)
        await tx.run(_COUNT_UP, invitation_id=held.id)


_NAME: Final = values(str, Users.select(Users.name).where(Users.id == given("user_id")))
_MEMBER: Final = values(
    UUID,
    Memberships.select(Memberships.user_id).where(
        Memberships.team_id == given("team_id"), Memberships.user_id == given("user_id")
    ),
)
_ADDRESSED: Final = values(
    UUID,
    Users.select(Users.id).where(Users.id == given("user_id"), Lower(Users.email) == folded(given("email"))),
)
_VERIFY: Final = change(
    Users.update({Users.email_verified_at: NOW}).where(Users.id == given("user_id"), Users.email_verified_at.is_null())
)

# Locked, so that nobody else counts uses meanwhile.
_HELD: Final = rows(
    _Held,
    Invitations.select(*columns(Invitations, _Held))
    .where(Invitations.token_hash == given("token_hash"), Invitations.expires_at > NOW)
    .lock_rows("UPDATE"),
)
_COUNT_UP: Final = change(
    Invitations.update({Invitations.uses: Invitations.uses + 1}).where(Invitations.id == given("invitation_id"))
)
_COUNT_DOWN: Final = change(
    Invitations.update({Invitations.uses: Invitations.uses - 1}).where(Invitations.token_hash == given("token_hash"))
)
_OWN: Final = (
    InvitationAcceptances.invitation_id == given("invitation_id"),
    InvitationAcceptances.user_id == given("user_id"),
)
_MINE: Final = rows(_Mine, InvitationAcceptances.select(InvitationAcceptances.joined_at).where(*_OWN))
_TAKE: Final = change(
    insert(
        InvitationAcceptances,
        team_id=given("team_id"),
        invitation_id=given("invitation_id"),
        user_id=given("user_id"),
        accepted_at=NOW,
        joined_at=None,
    )
)
_GIVE_BACK: Final = change(
    InvitationAcceptances.delete().where(_OWN[0] & _OWN[1] & InvitationAcceptances.joined_at.is_null())
)
