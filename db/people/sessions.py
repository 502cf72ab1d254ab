"""Sessions and their refresh tokens (RFC 9700, section 4.14): rotation, and what happens when a used token comes back.

Tokens are 256 random bits and stored as SHA-256. Every time here is the database's: workers' clocks decide nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from piccolo.columns.combination import And
from piccolo.custom_types import Combinable
from piccolo.query.methods.update import Update

from core.errors import Unauthenticated
from core.principal import Principal
from db.expressions import CLOCK, NOW, Host, ago, ahead, limited
from db.ids import LAST_ID, NO_ID, new_id
from db.people.refresh_tokens import PresentedToken, is_token, new_token, refused, seal, unseal
from db.pool import Pool
from db.statements import change, given, insert, returned_values, rows, values
from db.tables import RefreshTokens
from db.tables import Sessions as SessionTable
from db.tokens import token_hash
from db.transaction import Writing, reading, writing

__all__ = ["Client", "Grant", "Lifetimes", "Reused", "Session", "Sessions"]

USER_AGENT_LENGTH: Final = 1000


class Lifetimes(Struct, frozen=True, kw_only=True):
    """In seconds: an unused token ends after `idle`, a session after `absolute`; `grace` is for a token just used."""

    idle: int
    absolute: int
    grace: int


class Client(Struct, frozen=True):
    """What a session remembers of the browser or program that opened it."""

    user_agent: str = ""
    ip: str | None = None


class Session(Struct, frozen=True):
    """A session that can still be used."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str
    ip: str | None


class Grant(Struct, frozen=True):
    """A session and the refresh token to keep it; the token is shown this once.

    `ended` are sessions that had to go because there were too many: announce them to the other processes.
    """

    principal: Principal
    refresh_token: str
    ended: Sequence[UUID] = ()


class Reused(Struct, frozen=True):
    """A used refresh token came back: its session has been revoked. Announce it to the other processes."""

    session_id: UUID


class Sessions:
    """The sessions of all users, each behind row-level security of its own user. Raises StorageUnavailable.

    A user has at most so many: a further one ends the one that was not used for longest. Whoever proves who they are is
    never kept out by sessions that they forgot.
    """

    def __init__(self, pool: Pool, lifetimes: Lifetimes, most: int) -> None:
        self._pool = pool
        self._lifetimes = lifetimes
        self._most = most

    async def start(self, user_id: UUID, client: Client) -> Grant:
        """A new session of a user who has just proven who they are."""
        async with writing(self._pool, user_id) as tx:
            return await self.start_in(tx, user_id, client)

    async def start_in(self, tx: Writing, user_id: UUID, client: Client) -> Grant:
        """The same inside a transaction that is already `user_id`'s."""
        await tx.alone(_sessions_of(user_id))
        session_id, token = new_id(), new_token()
        await tx.run(
            _START,
            session_id=session_id,
            user_id=user_id,
            seconds=float(self._lifetimes.absolute),
            user_agent=client.user_agent[:USER_AGENT_LENGTH],
            ip=_address(client.ip),
        )
        await tx.run(
            _FIRST_TOKEN,
            token_id=new_id(),
            token_hash=token_hash(token),
            session_id=session_id,
            user_id=user_id,
            seconds=float(min(self._lifetimes.idle, self._lifetimes.absolute)),
        )
        ended = await tx.all(_END_OLDEST, user_id=user_id, session_id=session_id, others=self._most - 1)
        return Grant(Principal.of_user(user_id, session_id), token, ended)

    async def is_new_client(self, tx: Writing, user_id: UUID, client: Client) -> bool:
        """Whether none of the sessions that are remembered of the user came from this program and network.

        Never for the first session: who has just signed up need not be told. Inside a transaction of the user's.
        """
        ip = _address(client.ip)
        return bool(await tx.fetchval(_IS_NEW, user_id, client.user_agent[:USER_AGENT_LENGTH], ip))

    async def renew_in(self, tx: Writing, user_id: UUID, session_id: UUID) -> Grant:
        """A new refresh token for a session that goes on; none of those it had is good any more.

        Inside a transaction of the user's. Raises Unauthenticated when the session has ended.
        """
        token = new_token()
        await tx.run(_OUTDATE, user_id=user_id, session_id=session_id)
        if not await tx.execute(_RENEW, new_id(), token_hash(token), session_id, user_id, float(self._lifetimes.idle)):
            raise Unauthenticated("This session has ended.")
        return Grant(Principal.of_user(user_id, session_id), token)

    async def refresh(self, value: str) -> Grant | Reused:
        """Use a refresh token up and hand out its successor.

        Presented again within the grace, while its successor is unused, a token gets that same successor; presented
        later it revokes the session. Raises Unauthenticated for a token that is unknown, expired or revoked.
        """
        async with writing(self._pool) as tx:
            return await self.refresh_in(tx, value)

    async def refresh_in(self, tx: Writing, value: str) -> Grant | Reused:
        """The same inside a transaction, which goes on as the token's owner."""
        token = await _owned(tx, value)
        granted = await self._rotate(tx, token)
        return granted or await self._judge(tx, token)

    async def owner_of(self, value: str) -> UUID:
        """Whose refresh token this is, used or not. Raises Unauthenticated."""
        async with writing(self._pool) as tx:
            return (await _owned(tx, value)).user_id

    async def _rotate(self, tx: Writing, token: PresentedToken) -> Grant | None:
        """The one statement that uses a token up; None when somebody else has, or when it idled out."""
        successor = new_token()
        row = await tx.fetchrow(
            _ROTATE,
            token.hash,
            new_id(),
            seal(token, successor),
            token_hash(successor),
            float(self._lifetimes.idle),
        )
        if row is None:
            return None
        if not row["issued"]:  # The session ended; raising takes the use of the token back.
            raise refused()
        return Grant(Principal.of_user(token.user_id, row["session_id"]), successor)

    async def _judge(self, tx: Writing, token: PresentedToken) -> Grant | Reused:
        """What a token that could not be used up deserves."""
        row = await tx.fetchrow(_JUDGE, token.hash, float(self._lifetimes.grace))
        if row is None or row["over"] or not row["used"]:
            raise refused()
        if row["in_grace"]:
            return Grant(Principal.of_user(token.user_id, row["session_id"]), unseal(token, row["successor_sealed"]))
        await self.revoke_in(tx, token.user_id, row["session_id"])
        return Reused(row["session_id"])

    async def list(self, user_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Session]:
        """The user's usable sessions, newest first, older than `before`."""
        async with reading(self._pool, user_id) as tx:
            return await tx.all(_LIVE, user_id=user_id, before=before or LAST_ID, limit=limit)

    async def revoke(self, user_id: UUID, session_id: UUID) -> bool:
        """End one session of the user; False when there is no such live session."""
        async with writing(self._pool, user_id) as tx:
            return await self.revoke_in(tx, user_id, session_id)

    async def revoke_in(self, tx: Writing, user_id: UUID, session_id: UUID) -> bool:
        """The same inside a transaction of the user's."""
        return await tx.run(_REVOKE, user_id=user_id, session_id=session_id) == 1

    async def revoke_all_in(self, tx: Writing, user_id: UUID, *, keep: UUID | None = None) -> Sequence[UUID]:
        """End all live sessions of the user except `keep`; the ids of those that ended."""
        # Beside a login that ends the oldest one, each could lock a row that the other waits for.
        await tx.alone(_sessions_of(user_id))
        return await tx.all(_REVOKE_ALL, user_id=user_id, keep=keep or NO_ID)

    async def revoke_by_token(self, value: str) -> UUID | None:
        """End the session a refresh token belongs to, used or not (RFC 7009); None when there is no such live one."""
        async with writing(self._pool) as tx:
            try:
                token = await _owned(tx, value)
            except Unauthenticated:
                return None
            return await tx.one(_REVOKE_BY_TOKEN, user_id=token.user_id, token_hash=token.hash)

    async def revoked_within(self, seconds: float) -> Sequence[UUID]:
        """Sessions of anybody that were revoked in the last so many seconds (at most a day)."""
        async with reading(self._pool, None) as tx:
            await tx.scope("app.watch", "revocations")
            return await tx.all(_REVOKED, seconds=seconds)


_START: Final = change(
    insert(
        SessionTable,
        id=given("session_id"),
        user_id=given("user_id"),
        created_at=NOW,
        last_used_at=NOW,
        expires_at=ahead(given("seconds")),
        revoked_at=None,
        user_agent=given("user_agent"),
        ip=given("ip"),
    )
)
_FIRST_TOKEN: Final = change(
    insert(
        RefreshTokens,
        id=given("token_id"),
        token_hash=given("token_hash"),
        session_id=given("session_id"),
        user_id=given("user_id"),
        parent_id=None,
        successor_id=None,
        successor_sealed=None,
        issued_at=NOW,
        consumed_at=None,
        expires_at=ahead(given("seconds")),
    )
)

# In SQL, because it compares networks: a /24 of IPv4, a /48 of IPv6.
_IS_NEW: Final = """
select exists (select from sessions where user_id = $1) and not exists (
    select from sessions where user_id = $1 and user_agent = $2 and (
        ip <<= set_masklen($3::inet, case family($3::inet) when 4 then 24 else 48 end)
        or (ip is null and $3::inet is null)
    )
)
"""
_OUTDATE: Final = change(
    RefreshTokens.update({RefreshTokens.expires_at: NOW}).where(
        RefreshTokens.user_id == given("user_id"),
        RefreshTokens.session_id == given("session_id"),
        RefreshTokens.consumed_at.is_null(),
    )
)
# In SQL, because it selects what it inserts.
_RENEW: Final = """
insert into refresh_tokens (id, token_hash, session_id, user_id, issued_at, expires_at)
select $1, $2, id, user_id, now(), least(now() + make_interval(secs => $5), expires_at) from sessions
where id = $3 and user_id = $4 and revoked_at is null and expires_at > now()
"""

# In SQL, because it is one statement: two uses of a token at the same moment are decided by its row.
_ROTATE: Final = """
with used as (
    update refresh_tokens set consumed_at = clock_timestamp(), successor_id = $2, successor_sealed = $3
    where token_hash = $1 and consumed_at is null and expires_at > now()
    returning id, session_id, user_id
), session as (
    update sessions set last_used_at = now() from used
    where sessions.id = used.session_id and sessions.user_id = used.user_id
      and sessions.revoked_at is null and sessions.expires_at > now()
    returning sessions.id, sessions.user_id, sessions.expires_at, used.id as parent_id
), issued as (
    insert into refresh_tokens (id, token_hash, session_id, user_id, parent_id, issued_at, expires_at)
    select $2, $4, id, user_id, parent_id, now(), least(now() + make_interval(secs => $5), expires_at) from session
    returning session_id
)
select used.session_id, exists (select from issued) as issued from used
"""

# In SQL, because it joins. The successor is the newest leaf exactly when it has not been used itself.
_JUDGE: Final = """
select token.session_id, token.successor_sealed, token.consumed_at is not null as used,
       session.revoked_at is not null or session.expires_at <= now() as over,
       successor.id is not null and successor.consumed_at is null
           and token.consumed_at > clock_timestamp() - make_interval(secs => $2) as in_grace
from refresh_tokens token
join sessions session on session.id = token.session_id and session.user_id = token.user_id
left join refresh_tokens successor on successor.id = token.successor_id
where token.token_hash = $1
"""

_OWNER: Final = values(
    UUID, RefreshTokens.select(RefreshTokens.user_id).where(RefreshTokens.token_hash == given("token_hash"))
)


_USABLE: Final = (
    SessionTable.user_id == given("user_id"),
    SessionTable.revoked_at.is_null(),
    SessionTable.expires_at > NOW,
)


def _revoking(which: Combinable) -> Update[Any]:
    return SessionTable.update({SessionTable.revoked_at: CLOCK}).where(*_USABLE, which)


_REVOKE: Final = change(_revoking(SessionTable.id == given("session_id")))
_REVOKE_ALL: Final = returned_values(UUID, _revoking(SessionTable.id != given("keep")).returning(SessionTable.id))
_END_OLDEST: Final = returned_values(
    UUID,
    _revoking(
        And(
            SessionTable.id != given("session_id"),
            SessionTable.id.not_in(
                limited(
                    SessionTable.select(SessionTable.id)
                    .where(*_USABLE, SessionTable.id != given("session_id"))
                    .order_by(SessionTable.last_used_at, SessionTable.id, ascending=False),
                    given("others"),
                )
            ),
        )
    ).returning(SessionTable.id),
)
_REVOKE_BY_TOKEN: Final = returned_values(
    UUID,
    _revoking(
        SessionTable.id.is_in(
            RefreshTokens.select(RefreshTokens.session_id).where(RefreshTokens.token_hash == given("token_hash"))
        )
    ).returning(SessionTable.id),
)

# A session whose last token idled out cannot be used, although it has not expired.
_REFRESHABLE: Final = RefreshTokens.select(RefreshTokens.session_id).where(
    RefreshTokens.user_id == given("user_id"), RefreshTokens.consumed_at.is_null(), RefreshTokens.expires_at > NOW
)
_LIVE: Final = rows(
    Session,
    limited(
        SessionTable.select(
            SessionTable.id,
            SessionTable.created_at,
            SessionTable.last_used_at,
            SessionTable.expires_at,
            SessionTable.user_agent,
            Host(SessionTable.ip, alias="ip"),
        )
        .where(*_USABLE, SessionTable.id < given("before"), SessionTable.id.is_in(_REFRESHABLE))
        .order_by(SessionTable.id, ascending=False),
        given("limit"),
    ),
)
_REVOKED: Final = values(
    UUID, SessionTable.select(SessionTable.id).where(SessionTable.revoked_at > ago(given("seconds")))
)


async def _owned(tx: Writing, value: str) -> PresentedToken:
    """Find whose token this is, and go on as that user. Raises Unauthenticated."""
    if not is_token(value):
        raise refused()
    digest = token_hash(value)
    await tx.scope("app.token_hash", digest.hex())
    user_id = await tx.one(_OWNER, token_hash=digest)
    if user_id is None:
        raise refused()
    await tx.scope("app.user_id", str(user_id))
    return PresentedToken(value, digest, user_id)


def _sessions_of(user_id: UUID) -> str:
    return f"sessions of {user_id}"


def _address(ip: str | None) -> str | None:
    """The address in its usual form, or None when it is none (a Unix socket's peer)."""
    try:
        return None if ip is None else str(ip_address(ip))
    except ValueError:
        return None
