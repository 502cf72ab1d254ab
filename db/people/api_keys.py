"""API keys: how programs of a user authenticate (`core.key_form` says what they look like).

They are stored as SHA-256 and shown once. Every time here is the database's: workers' clocks decide nothing.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from piccolo.query.functions.aggregate import Count
from piccolo.query.methods.update import Update

from core.errors import NotFound, QuotaReached
from core.key_form import RANDOM_BYTES, SHOWN_LENGTH, write_key
from core.principal import Principal, Scope
from db.expressions import CLOCK, NOW, SecondsLeft, ago, limited
from db.ids import LAST_ID, new_id
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, columns, given, insert, returned, returned_values, rows, values
from db.tables import ApiKeys as ApiKeyTable
from db.tables import Memberships
from db.transaction import Writing, reading, writing

__all__ = ["USED_SECONDS", "ApiKey", "ApiKeys", "PresentedKey", "NewKey", "forget_ended_keys", "token_hash_of"]

USED_SECONDS: Final = 300.0
"""The time of the last use is written at most so often."""
KEPT_DAYS: Final = 30
"""So long after its end a key can still be looked into."""


class ApiKey(Struct, frozen=True):
    """A key that can still be used; `prefix` is how it begins.

    `team_id` is the only team that it is good for. `last_used_at` may be some minutes behind.
    """

    id: UUID
    name: str
    prefix: str
    scopes: Sequence[Scope]
    team_id: UUID | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewKey(Struct, frozen=True):
    """What a key is made of besides chance."""

    name: str
    scopes: Sequence[Scope]
    team_id: UUID | None = None
    expires_at: datetime | None = None


class PresentedKey(Struct, frozen=True):
    """What a key that was presented stands for; `seconds_left` until it expires, None for never."""

    id: UUID
    user_id: UUID
    scopes: Sequence[Scope]
    team_id: UUID | None
    seconds_left: float | None

    def principal(self) -> Principal:
        """Who asks by this key."""
        return Principal.of_key(self.id, self.user_id, self.scopes, team_id=self.team_id)


class ApiKeys:
    """The keys of all users, each behind row-level security of its own user. Raises StorageUnavailable."""

    def __init__(self, pool: Pool, most: int) -> None:
        self._pool = pool
        self._most = most

    async def create_in(self, tx: Writing, user_id: UUID, wanted: NewKey) -> tuple[ApiKey, str]:
        """A new key and its token, which nobody can be shown again, inside a transaction of the user's.

        Raises NotFound("team") unless the user is a member of the team it is for, QuotaReached.
        """
        if wanted.team_id is not None and await tx.one(_MEMBER, user_id=user_id, team_id=wanted.team_id) is None:
            raise NotFound("team")
        await tx.alone(_keys_of(user_id))
        if (await tx.one(_COUNT, user_id=user_id) or 0) >= self._most:
            detail = f"You have {self._most} API keys, and may have no more: revoke one first."
            raise QuotaReached("api-keys-per-user", self._most, detail)
        token = write_key(secrets.token_bytes(RANDOM_BYTES))
        made = await tx.one(
            _CREATE,
            id=new_id(),
            user_id=user_id,
            token_hash=token_hash_of(token.encode()),
            prefix=token[:SHOWN_LENGTH],
            name=wanted.name,
            scopes=list(wanted.scopes),
            team_id=wanted.team_id,
            expires_at=wanted.expires_at,
        )
        assert made is not None, "a row that was added comes back"
        return made, token

    async def list(self, user_id: UUID, *, before: UUID | None, limit: int) -> Sequence[ApiKey]:
        """The user's usable keys, newest first, older than `before`."""
        async with reading(self._pool, user_id) as tx:
            return await tx.all(_LIST, user_id=user_id, before=before or LAST_ID, limit=limit)

    async def get(self, user_id: UUID, key_id: UUID) -> ApiKey:
        """One of them. Raises NotFound."""
        async with reading(self._pool, user_id) as tx:
            found = await tx.one(_GET, user_id=user_id, key_id=key_id)
        if found is None:
            raise NotFound("API key")
        return found

    async def revoke_in(self, tx: Writing, user_id: UUID, key_id: UUID) -> bool:
        """End a key of the user's; False when there is no usable one of this id. Announce it after the commit."""
        return await tx.run(_REVOKE, user_id=user_id, key_id=key_id) == 1

    async def revoke_all_in(self, tx: Writing, user_id: UUID) -> Sequence[UUID]:
        """End all keys of the user; the ids of those that ended, to be announced after the commit."""
        await tx.alone(_keys_of(user_id))  # Otherwise one that is being made at this moment would stay.
        return await tx.all(_REVOKE_ALL, user_id=user_id)

    async def find(self, token_hash: bytes) -> PresentedKey | None:
        """The usable key with this hash, whoever's it is."""
        async with reading(self._pool, None) as tx:
            await tx.scope("app.token_hash", token_hash.hex())
            return await tx.one(_FIND, token_hash=token_hash)

    async def note_use(self, user_id: UUID, key_id: UUID) -> None:
        """Write down that the key is being used, unless that was done less than `USED_SECONDS` ago."""
        async with writing(self._pool, user_id) as tx:
            await tx.run(_USED, user_id=user_id, key_id=key_id, seconds=USED_SECONDS)

    async def revoked_within(self, seconds: float) -> Sequence[UUID]:
        """Keys of anybody that were revoked in the last so many seconds (at most a day)."""
        async with reading(self._pool, None) as tx:
            await tx.scope("app.watch", "revocations")
            return await tx.all(_REVOKED, seconds=seconds)


async def forget_ended_keys(pool: Pool, *, days: float = KEPT_DAYS) -> int:
    """Delete keys that ended, by expiry or revocation, more than so many days (at least one) ago; how many.

    For the worker pool, whose role sees no other keys. Raises StorageUnavailable.
    """
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, seconds=days * 86_400.0, limit=limit))


def token_hash_of(token: bytes) -> bytes:
    """Under what a key is stored."""
    return hashlib.sha256(token).digest()


def _keys_of(user_id: UUID) -> str:
    return f"api keys of {user_id}"


_SHOWN: Final = columns(ApiKeyTable, ApiKey)
_LIVE: Final = (
    ApiKeyTable.revoked_at.is_null(),
    ApiKeyTable.expires_at.is_null() | (ApiKeyTable.expires_at > NOW),
)
_USABLE: Final = (ApiKeyTable.user_id == given("user_id"), *_LIVE)

_MEMBER: Final = values(
    UUID,
    Memberships.select(Memberships.team_id).where(
        Memberships.team_id == given("team_id"), Memberships.user_id == given("user_id")
    ),
)
_COUNT: Final = values(int, ApiKeyTable.select(Count()).where(*_USABLE))
_CREATE: Final = returned(
    ApiKey,
    insert(
        ApiKeyTable,
        id=given("id"),
        user_id=given("user_id"),
        token_hash=given("token_hash"),
        prefix=given("prefix"),
        name=given("name"),
        scopes=given("scopes"),
        team_id=given("team_id"),
        created_at=NOW,
        expires_at=given("expires_at"),
        last_used_at=None,
        revoked_at=None,
    ).returning(*_SHOWN),
)
_LIST: Final = rows(
    ApiKey,
    limited(
        ApiKeyTable.select(*_SHOWN)
        .where(*_USABLE, ApiKeyTable.id < given("before"))
        .order_by(ApiKeyTable.id, ascending=False),
        given("limit"),
    ),
)
_GET: Final = rows(ApiKey, ApiKeyTable.select(*_SHOWN).where(*_USABLE, ApiKeyTable.id == given("key_id")))


def _revoking(*which: Any) -> Update[Any]:
    return ApiKeyTable.update({ApiKeyTable.revoked_at: CLOCK}).where(*_USABLE, *which)


_REVOKE: Final = change(_revoking(ApiKeyTable.id == given("key_id")))
_REVOKE_ALL: Final = returned_values(UUID, _revoking().returning(ApiKeyTable.id))
_FIND: Final = rows(
    PresentedKey,
    ApiKeyTable.select(
        ApiKeyTable.id,
        ApiKeyTable.user_id,
        ApiKeyTable.scopes,
        ApiKeyTable.team_id,
        SecondsLeft(ApiKeyTable.expires_at, alias="seconds_left"),
    ).where(ApiKeyTable.token_hash == given("token_hash"), *_LIVE),
)
_USED: Final = change(
    ApiKeyTable.update({ApiKeyTable.last_used_at: NOW}).where(
        *_USABLE,
        ApiKeyTable.id == given("key_id"),
        ApiKeyTable.last_used_at.is_null() | (ApiKeyTable.last_used_at < ago(given("seconds"))),
    )
)
_REVOKED: Final = values(UUID, ApiKeyTable.select(ApiKeyTable.id).where(ApiKeyTable.revoked_at > ago(given("seconds"))))
_FORGET: Final = change(
    ApiKeyTable.delete().where(
        ApiKeyTable.id.is_in(
            limited(
                ApiKeyTable.select(ApiKeyTable.id).where(
                    (ApiKeyTable.expires_at < ago(given("seconds"))) | (ApiKeyTable.revoked_at < ago(given("seconds")))
                ),
                given("limit"),
            )
        )
    )
)
