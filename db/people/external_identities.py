"""Who somebody is at another issuer: (issuer, subject), which belongs to one account for good. An address never does.

First sight makes an account. It joins one that is there only when the issuer and the account have both verified the
same address, or when that account is signed in and asks for it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct
from piccolo.query.functions import Lower
from piccolo.query.functions.aggregate import Count

from core.errors import Conflict, Unauthenticated
from db.expressions import DEFAULT, NOW, folded, limited
from db.ids import LAST_ID, new_id
from db.pool import Pool
from db.statements import change, columns, given, insert, returned, returned_values, rows, values
from db.tables import ExternalIdentities as Table
from db.tables import Users
from db.transaction import Reading, Writing, reading, writing

__all__ = ["ExternalIdentities", "ExternalIdentity", "LinkedIdentity", "Owned"]


class ExternalIdentity(Struct, frozen=True):
    """Somebody as an issuer describes them; `verified` says that the issuer vouches for the address."""

    issuer: str
    subject: str
    email: str | None
    verified: bool
    name: str

    @property
    def hash(self) -> bytes:
        """SHA-256 of issuer and subject, so that no two identities give the same bytes."""
        issuer = self.issuer.encode()
        return hashlib.sha256(b"%d:%s%s" % (len(issuer), issuer, self.subject.encode())).digest()


class LinkedIdentity(Struct, frozen=True):
    """An identity of an account."""

    id: UUID
    issuer: str
    subject: str
    created_at: datetime


class Owned(Struct, frozen=True):
    """A known identity and whose it is."""

    id: UUID
    user_id: UUID


class ExternalIdentities:
    """The identities of all users, each behind row-level security of its own user. Raises StorageUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, identity: ExternalIdentity) -> Owned | None:
        """Whose identity this is."""
        async with reading(self._pool, None) as tx:
            return await _find(tx, identity)

    async def find_or_make(self, identity: ExternalIdentity) -> Owned:
        """Whose identity this is; at first sight, of a new account, however many ask at once.

        Raises Conflict("email-taken") when its address is that of an account and one of the two is not verified.
        """
        found = await self.find(identity)
        if found is not None:
            return found
        async with writing(self._pool) as tx:
            await tx.alone(_lock(identity))
            return await _find(tx, identity) or await self._make_in(tx, identity)

    async def link_in(self, tx: Writing, user_id: UUID, identity: ExternalIdentity) -> LinkedIdentity:
        """Make the identity one of the user's, inside a transaction of theirs; again changes nothing.

        Raises Conflict("identity-taken") when it is another account's.
        """
        await tx.alone(_lock(identity))
        found = await _find(tx, identity)
        if found is not None and found.user_id != user_id:
            raise Conflict("identity-taken", "This identity belongs to another account.")
        made = await _add(tx, user_id, identity) if found is None else await tx.one(_GET, user_id=user_id, id=found.id)
        assert made is not None, "a row of the user's comes back"
        return made

    async def list(self, user_id: UUID, *, before: UUID | None, limit: int) -> Sequence[LinkedIdentity]:
        """The user's identities, newest first, older than `before`."""
        async with reading(self._pool, user_id) as tx:
            return await tx.all(_LIST, user_id=user_id, before=before or LAST_ID, limit=limit)

    async def unlink_in(self, tx: Writing, user_id: UUID, identity_id: UUID) -> bool:
        """Take an identity from the user, inside a transaction of theirs; False when it is none of theirs.

        Raises Conflict("last-way-in") for the last one of a user without a password.
        """
        await tx.alone(f"external identities of {user_id}")
        if await tx.one(_GET, user_id=user_id, id=identity_id) is None:
            return False
        password, number = await tx.one(_PASSWORD, user_id=user_id), await tx.one(_COUNT, user_id=user_id)
        if password is None and number == 1:
            raise Conflict("last-way-in", "Nothing else signs you in: choose a password, or link another, first.")
        return await tx.run(_UNLINK, user_id=user_id, id=identity_id) == 1

    async def unlink_all_in(self, tx: Writing, user_id: UUID) -> Sequence[UUID]:
        """Take all identities from a user who has a password, inside a transaction of theirs; the ids of them."""
        await tx.alone(f"external identities of {user_id}")
        return await tx.all(_UNLINK_ALL, user_id=user_id)

    async def _make_in(self, tx: Writing, identity: ExternalIdentity) -> Owned:
        user_id = await _account_at(tx, identity)
        if user_id is None:
            user_id = new_id()
            await tx.scope("app.user_id", str(user_id))
            await _add_user(tx, user_id, identity)
        else:
            await tx.scope("app.user_id", str(user_id))
        return Owned((await _add(tx, user_id, identity)).id, user_id)


async def _find(tx: Reading, identity: ExternalIdentity) -> Owned | None:
    await tx.scope("app.token_hash", identity.hash.hex())
    return await tx.one(_FIND, identity_hash=identity.hash)


async def _account_at(tx: Writing, identity: ExternalIdentity) -> UUID | None:
    """The account that the identity joins by its address. Raises Conflict where there is one that it may not join."""
    if identity.email is None:
        return None
    await tx.alone(f"address {identity.email.lower()}")
    await tx.scope_email(identity.email)
    account = await tx.one(_ACCOUNT, email=identity.email)
    if account is None:
        return None
    if not identity.verified or account.email_verified_at is None or account.erased_at is not None:
        raise _email_taken()
    return account.id


async def _add_user(tx: Writing, user_id: UUID, identity: ExternalIdentity) -> None:
    try:
        if identity.verified and identity.email is not None:
            await tx.run(_ADD_USER, user_id=user_id, name=identity.name, email=identity.email)
        else:
            await tx.run(_ADD_USER_WITHOUT_ADDRESS, user_id=user_id, name=identity.name)
    except asyncpg.UniqueViolationError as error:  # Somebody signed up with the address meanwhile.
        if error.constraint_name != "users_email_key":
            raise
        raise _email_taken() from error


async def _add(tx: Writing, user_id: UUID, identity: ExternalIdentity) -> LinkedIdentity:
    try:
        made = await tx.one(
            _ADD,
            id=new_id(),
            user_id=user_id,
            identity_hash=identity.hash,
            issuer=identity.issuer,
            subject=identity.subject,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise Unauthenticated("This account no longer exists.") from error
    assert made is not None, "a row that was added comes back"
    return made


def _lock(identity: ExternalIdentity) -> str:
    return f"external identity {identity.hash.hex()}"


def _email_taken() -> Conflict:
    detail = "There is an account with this e-mail address already: sign in to it, and link this identity there."
    return Conflict("email-taken", detail)


class _Account(Struct, frozen=True):
    id: UUID
    email_verified_at: datetime | None
    erased_at: datetime | None


_FIND: Final = rows(Owned, Table.select(Table.id, Table.user_id).where(Table.identity_hash == given("identity_hash")))
_ACCOUNT: Final = rows(
    _Account, Users.select(*columns(Users, _Account)).where(Lower(Users.email) == folded(given("email")))
)
_NEW: Final = {
    "password_hash": None,
    "created_at": NOW,
    "updated_at": NOW,
    "time_zone": "UTC",
    "erased_at": None,
    "mail_digest": True,
    "mail_mentions": True,
    "mail_assignments": True,
    "digest_hour": DEFAULT,
}
_ADD_USER: Final = change(
    insert(Users, id=given("user_id"), name=given("name"), email=given("email"), email_verified_at=NOW, **_NEW)
)
_ADD_USER_WITHOUT_ADDRESS: Final = change(
    insert(Users, id=given("user_id"), name=given("name"), email=None, email_verified_at=None, **_NEW)
)
_SHOWN: Final = columns(Table, LinkedIdentity)
_ADD: Final = returned(
    LinkedIdentity,
    insert(
        Table,
        id=given("id"),
        user_id=given("user_id"),
        identity_hash=given("identity_hash"),
        issuer=given("issuer"),
        subject=given("subject"),
        created_at=NOW,
    ).returning(*_SHOWN),
)
_OWN: Final = Table.user_id == given("user_id")
_GET: Final = rows(LinkedIdentity, Table.select(*_SHOWN).where(_OWN, Table.id == given("id")))
_LIST: Final = rows(
    LinkedIdentity,
    limited(
        Table.select(*_SHOWN).where(_OWN, Table.id < given("before")).order_by(Table.id, ascending=False),
        given("limit"),
    ),
)
_COUNT: Final = values(int, Table.select(Count()).where(_OWN))
_PASSWORD: Final = values(str, Users.select(Users.password_hash).where(Users.id == given("user_id")))
_UNLINK_ALL: Final = returned_values(UUID, Table.delete().where(_OWN).returning(Table.id))
_UNLINK: Final = change(Table.delete().where(_OWN & (Table.id == given("id"))))
