"""To whom mails go: addresses are read when a mail is sent, never before. For the worker's role."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from piccolo.query.functions import Lower

from db.expressions import Host, folded
from db.statements import columns, given, rows, values
from db.tables import Sessions, Users
from db.transaction import Reading

__all__ = ["Recipient", "SignIn", "account_of", "leaver", "recipient", "sign_in"]


class Recipient(Struct, frozen=True):
    """A user as a mail addresses them."""

    id: UUID
    email: str
    name: str
    time_zone: str


class SignIn(Struct, frozen=True):
    """A session as its mail describes it."""

    user_id: UUID
    created_at: datetime
    user_agent: str
    ip: str | None


async def recipient(tx: Reading, user_id: UUID) -> Recipient | None:
    """The user, or None when the account is gone, or has no address."""
    return await tx.one(_RECIPIENT, user_id=user_id)


async def leaver(tx: Reading, user_id: UUID) -> Recipient | None:
    """A user whose account is closed and whose address is still known: to whom the last mail goes."""
    return await tx.one(_LEAVER, user_id=user_id)


async def account_of(tx: Reading, email: str) -> UUID | None:
    """Whose proven address it is, in any case; None when it is nobody's."""
    return await tx.one(_ACCOUNT, email=email)


async def sign_in(tx: Reading, session_id: UUID) -> SignIn | None:
    """The session, or None when it is forgotten."""
    return await tx.one(_SIGN_IN, session_id=session_id)


_RECIPIENT: Final = rows(
    Recipient,
    Users.select(*columns(Users, Recipient)).where(
        Users.id == given("user_id"), Users.email.is_not_null(), Users.erased_at.is_null()
    ),
)
_LEAVER: Final = rows(
    Recipient,
    Users.select(*columns(Users, Recipient)).where(
        Users.id == given("user_id"), Users.erased_at.is_not_null(), Users.email.not_like("deleted-%@invalid")
    ),
)
_ACCOUNT: Final = values(
    UUID,
    Users.select(Users.id).where(
        Lower(Users.email) == folded(given("email")), Users.email_verified_at.is_not_null(), Users.erased_at.is_null()
    ),
)
_SIGN_IN: Final = rows(
    SignIn,
    Sessions.select(Sessions.user_id, Sessions.created_at, Sessions.user_agent, Host(Sessions.ip, alias="ip")).where(
        Sessions.id == given("session_id")
    ),
)
