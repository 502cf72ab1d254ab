"""The end of an account: its sessions and keys first, then, once it is in no team any more, all that tells of a person.

The row of the user stays, because tasks and history name it, and says "Deleted user". Its address is free again. All
for the worker's role; everything may be done again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from core.permissions import Role
from core.redaction import DELETED_USER
from db.forgotten_bodies import FORGOTTEN_BODY, REDACTED_BODY
from db.redaction.role import as_redactor
from db.redaction.webhooks import forget_excerpts_of_user
from db.transaction import Reading, Writing

__all__ = ["close_account", "forget_user", "name_of", "places_in", "places_left"]


_PLACES: Final = "select team_id, role from memberships where user_id = $1 order by team_id"
_LEFT: Final = "select team_id, role from former_members where user_id = $1 and left_at >= $2 order by team_id"
_NAME: Final = "select name from users where id = $1"


async def places_in(tx: Reading, user_id: UUID) -> Sequence[tuple[UUID, Role]]:
    """The teams that the user is a member of, and as what."""
    return [(row["team_id"], row["role"]) for row in await tx.fetch(_PLACES, user_id)]


async def places_left(tx: Reading, user_id: UUID, since: datetime) -> Sequence[tuple[UUID, Role]]:
    """The teams that the user has left since then, and what they were there."""
    return [(row["team_id"], row["role"]) for row in await tx.fetch(_LEFT, user_id, since)]


async def name_of(tx: Reading, user_id: UUID) -> str:
    """What the user is called."""
    return str(await tx.fetchval(_NAME, user_id))


# Waits for memberships that are being made, whose foreign key has locked the user, and holds up those to come.
_LOCK: Final = "select from users where id = $1 for update"
_CLOSE: Final = (
    "update users set password_hash = null, erased_at = coalesce(erased_at, now()), updated_at = now() where id = $1",
    "update sessions set revoked_at = clock_timestamp() where user_id = $1 and revoked_at is null",
    "update api_keys set revoked_at = clock_timestamp() where user_id = $1 and revoked_at is null",
    "delete from live_tickets where user_id = $1",
    "delete from external_identities where user_id = $1",
    "delete from external_sign_ins where user_id = $1",
    "delete from account_tokens where user_id = $1",
)


async def close_account(tx: Writing, user_id: UUID) -> bool:
    """Nobody signs in as the user any more: sessions, API keys and tickets end, and there is no password.

    Nobody makes them a member any more either (a trigger, migration 0022). False, and nothing is done, while they are
    one. Processes that serve requests learn of ended sessions and keys from Postgres, within seconds.
    """
    async with as_redactor(tx):
        await tx.execute(_LOCK, user_id)
    if await places_in(tx, user_id):
        return False
    async with as_redactor(tx):
        await _all(tx, _CLOSE, user_id)
    return True


# Answers to changes of others, in which the user stands as a member, as the author of a comment or mentioned in it, or
# with their address.
_REPLIES: Final = f"""
update idempotency_keys set body = {FORGOTTEN_BODY % "$2"}
where position(convert_to('"user_id":"' || $1::uuid::text || '"', 'UTF8') in body) > 0
   or position(convert_to('"id":"' || $1::uuid::text || '"', 'UTF8') in body) > 0
   or position($3::bytea in body) > 0
"""  # noqa: S608 (the text above)
_OWN_REPLIES: Final = """
delete from idempotency_keys
where principal = $1 or principal in (select id from api_keys where user_id = $1)
"""
_EMAIL: Final = "select email from users where id = $1"
_MAIL: Final = (
    "delete from account_tokens where lower(email) = lower($1::text collate pg_unicode_fast)",
    "delete from invitations where lower(email) = lower($1::text collate pg_unicode_fast)",
)
_TRACES: Final = (
    "delete from refresh_tokens where user_id = $1",
    "delete from team_places where user_id = $1",
    "delete from team_seen where user_id = $1",
    "delete from notifications where user_id = $1",
    "delete from notification_mails where user_id = $1",
    "delete from notification_preferences where user_id = $1",
    "delete from moved_mornings where user_id = $1",
    "update sessions set user_agent = '', ip = null where user_id = $1",
    "update api_keys set name = 'Deleted' where user_id = $1",
)
_NAMES: Final = (
    "update memberships set name = $2 where user_id = $1",
    "update former_members set name = $2 where user_id = $1",
    "update notifications set actor_name = $2 where actor_id = $1 and actor_name <> ''",
)
_EMPTY: Final = """
update users set name = $2, email = 'deleted-' || id::text || '@invalid', password_hash = null,
    email_verified_at = null, time_zone = 'UTC', digest_hour = 7, updated_at = now(),
    erased_at = coalesce(erased_at, now())
where id = $1
"""


async def forget_user(tx: Writing, user_id: UUID) -> None:
    """Replace the user's name and address, and forget from where and with what they came."""
    async with as_redactor(tx):
        email: str | None = await tx.fetchval(_EMAIL, user_id)
        written = None if email is None else msgspec.json.encode(email)[1:-1]
        await tx.execute(_REPLIES, user_id, REDACTED_BODY, written)
        await tx.execute(_OWN_REPLIES, user_id)
        await _all(tx, _MAIL, email)
        await _all(tx, _CLOSE, user_id)  # Once more: a process may not have heard at once that sessions have ended.
        await _all(tx, _TRACES, user_id)
        for statement in _NAMES:
            await tx.execute(statement, user_id, DELETED_USER)
        await forget_excerpts_of_user(tx, user_id)
        await tx.execute(_EMPTY, user_id, DELETED_USER)


async def _all(tx: Writing, statements: Sequence[str], argument: object) -> None:
    for statement in statements:
        await tx.execute(statement, argument)
