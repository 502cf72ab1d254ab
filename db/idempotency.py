"""Idempotency keys of changes that are no team commands: the row commits in the transaction of the effect.

Team commands have theirs committed by the journal. Both share one table, so that a key is used once whatever it is for.

`find_reply` asks on an ordinary connection, as the principal: a row that it does not see yet is still in flight, and
whoever commits an effect under the same key finds out (`KeysTaken`, KeyInFlight). Only after a COMMIT whose outcome is
unknown must the answer wait for what is durable: a team's actor then reads under the team's row lock, and
`replay_or_run` looks again in a new transaction.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from core.ask import Ask
from core.errors import DomainError, KeyInFlight, KeyReused, StorageUnavailable
from core.principal import Principal
from core.writes import StoredReply
from db.pool import Pool
from db.redactions_due import SHOWN_BODY
from db.sealed_replies import SEALED_MINUTES, SealedReplies, is_sealed
from db.slices import delete_in_slices
from db.transaction import Reading, Writing, reading, writing

__all__ = ["Found", "Ran", "find_reply", "forget_old_keys", "replay_or_run"]


Run = Callable[[Writing], Awaitable[StoredReply]]
Render = Callable[[DomainError], StoredReply]

_encode = msgspec.json.Encoder().encode
_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...])


class Ran(Struct, frozen=True):
    """The reply to send; `replayed` when an earlier request with this key has had the effect."""

    reply: StoredReply
    replayed: bool


class Found(Struct, frozen=True):
    """A stored reply, and the team that it is about, if any."""

    reply: StoredReply
    team_id: UUID | None


async def replay_or_run(
    pool: Pool,
    ask: Ask,
    run: Run,
    *,
    render: Render | None = None,
    user_id: UUID | None = None,
    sealed: SealedReplies | None = None,
) -> Ran:
    """Run a change of people's data once per key, in one transaction of the user's with the key's row.

    `render` turns a domain refusal into the reply that is stored for it; without it refusals are raised and not stored.
    `user_id` is whose transaction it is, where that is not the principal's; `sealed` keeps a reply that holds secrets.
    Raises KeyReused (other fingerprint), KeyInFlight (still running, in whichever process), StorageUnavailable.
    """
    user_id = user_id or ask.principal.user_id
    if ask.key is None:
        async with writing(pool, user_id) as tx:
            return Ran(await run(tx), replayed=False)
    finished = False
    try:
        async with writing(pool, user_id) as tx:
            await _name_owner(tx, ask.principal, user_id)
            ran = await _claim(tx, ask, sealed)
            if ran is None:
                ran = Ran(await _guarded(tx, run, render), replayed=False)
                await _insert(tx, ask, ran.reply if sealed is None else sealed.seal(ask, ran.reply))
            finished = True
    except StorageUnavailable:
        if not finished:
            raise
        # COMMIT was sent and its outcome is not known: only what is stored may be answered.
        found = await find_reply(pool, ask, sealed)
        if found is None:
            raise
        return Ran(found.reply, replayed=False)
    return ran


async def find_reply(pool: Pool, ask: Ask, sealed: SealedReplies | None = None) -> Found | None:
    """What is stored under the ask's key, for a team's command or another change. Raises KeyReused.

    A sealed reply is found only by those who can open it, and as long as it is good.
    """
    async with reading(pool, ask.principal.user_id) as tx:
        await _name_owner(tx, ask.principal, ask.principal.user_id)
        return await _find(tx, ask, sealed)


async def forget_old_keys(pool: Pool) -> int:
    """Delete keys older than 7 days, a few thousand per transaction; how many. Runs as the worker role."""
    return await delete_in_slices(pool, lambda tx, limit: tx.execute(_FORGET, limit))


async def _name_owner(tx: Reading, principal: Principal, user_id: UUID) -> None:
    """Tell row-level security whose keys these are; without a word they are the user's own."""
    if principal.id != user_id:
        await tx.scope("app.principal", str(principal.id))


async def _claim(tx: Writing, ask: Ask, sealed: SealedReplies | None) -> Ran | None:
    """The stored reply, or None with the key locked until the transaction ends."""
    if not await tx.fetchval(_LOCK, f"{ask.principal.id}:{ask.key}"):
        raise KeyInFlight
    found = await _find(tx, ask, sealed)
    if found is None and sealed is not None:
        await tx.execute(_EXPIRE, ask.principal.id, ask.key, SEALED_MINUTES)
    return None if found is None else Ran(found.reply, replayed=True)


async def _find(tx: Reading, ask: Ask, sealed: SealedReplies | None) -> Found | None:
    row = await tx.fetchrow(_FIND, ask.principal.id, ask.key)
    if row is None:
        return None
    if row["fingerprint"] != ask.fingerprint:
        raise KeyReused
    reply = StoredReply(row["status"], _headers.decode(row["headers"]), row["body"], row["seq"])
    if not is_sealed(reply):
        return Found(reply, row["team_id"])
    good = sealed is not None and row["minutes"] < SEALED_MINUTES
    opened = sealed.open(ask, reply) if sealed is not None and good else None
    return None if opened is None else Found(opened, row["team_id"])


async def _guarded(tx: Writing, run: Run, render: Render | None) -> StoredReply:
    """Run; what a refused change did before it was refused is taken back, and the refusal is the reply."""
    if render is None:
        return await run(tx)
    await tx.execute("savepoint refused")
    try:
        return await run(tx)
    except DomainError as error:
        await tx.execute("rollback to savepoint refused")
        return render(error)


async def _insert(tx: Writing, ask: Ask, reply: StoredReply) -> None:
    stored = (reply.status, _encode(reply.headers), reply.body, reply.seq)
    try:
        await tx.execute(_INSERT, ask.principal.id, ask.key, ask.fingerprint, *stored)
    except asyncpg.UniqueViolationError as error:
        # A team command of another process took the key between our look and our row.
        raise KeyInFlight from error


_LOCK: Final = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_FIND: Final = f"""
select fingerprint, status, headers, {SHOWN_BODY} as body, seq, team_id,
    extract(epoch from now() - created_at) / 60 as minutes
from idempotency_keys k where principal = $1 and key = $2
"""  # noqa: S608 (an expression of our own)
_EXPIRE: Final = """
delete from idempotency_keys where principal = $1 and key = $2 and created_at <= now() - make_interval(mins => $3)
"""
_INSERT: Final = """
insert into idempotency_keys (principal, key, fingerprint, status, headers, body, seq)
values ($1, $2, $3, $4, $5, $6, $7)
"""
_FORGET: Final = """
delete from idempotency_keys where (principal, key) in (
    select principal, key from idempotency_keys where created_at < now() - interval '7 days' limit $1
)
"""
