"""Idempotency keys of changes that are no team commands: the row commits in the transaction of the effect.

Team commands have theirs committed by the journal. Both share one table, so that a key is used once whatever it is for.

`find_key` asks on an ordinary connection, as the asker: a row that it does not see yet is still in flight, and whoever
commits an effect under the same key finds out (`KeysTaken`, KeyInFlight). Only after a COMMIT whose outcome is unknown
must the answer wait for what is durable: a team's actor then reads under the team's row lock, and `replay_or_run` looks
again in a new transaction.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from core.errors import DomainError, KeyInFlight, KeyReused, StorageUnavailable
from core.writes import KeyRow, StoredReply
from db.people.principal import Principal
from db.pool import Pool
from db.transaction import Reading, Writing, reading, writing

__all__ = ["Ran", "find_key", "forget_old_keys", "replay_or_run"]

ROWS_AT_ONCE: Final = 5_000

Run = Callable[[Writing], Awaitable[StoredReply]]
Render = Callable[[DomainError], StoredReply]

_encode = msgspec.json.Encoder().encode
_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...])


class Ran(Struct, frozen=True):
    """The reply to send; `replayed` when an earlier request with this key has had the effect."""

    reply: StoredReply
    replayed: bool


async def replay_or_run(
    pool: Pool,
    principal: Principal,
    key: str | None,
    fingerprint: bytes,
    run: Run,
    *,
    render: Render | None = None,
) -> Ran:
    """Run a change once per key, in one transaction of the user's with the key's row.

    `render` turns a domain refusal into the reply that is stored for it; without it refusals are raised and not stored.
    Raises KeyReused (other fingerprint), KeyInFlight (still running, in whichever process), StorageUnavailable.
    """
    if key is None:
        async with writing(pool, principal.user_id) as tx:
            return Ran(await run(tx), replayed=False)
    finished = False
    try:
        async with writing(pool, principal.user_id) as tx:
            ran = await _claim(tx, principal, key, fingerprint)
            if ran is None:
                ran = Ran(await _guarded(tx, run, render), replayed=False)
                await _insert(tx, principal, key, fingerprint, ran.reply)
            finished = True
    except StorageUnavailable:
        if not finished:
            raise
        # COMMIT was sent and its outcome is not known: only what is stored may be answered.
        async with reading(pool, principal.user_id) as fresh:
            stored = await _find(fresh, principal, key, fingerprint)
        if stored is None:
            raise
        return Ran(stored, replayed=False)
    return ran


async def find_key(pool: Pool, principal: UUID, key: str) -> KeyRow | None:
    """The row stored under a principal's key, whatever it is for; None without one. Raises StorageUnavailable."""
    async with reading(pool, principal) as tx:
        return await _row(tx, principal, key)


async def forget_old_keys(pool: Pool) -> int:
    """Delete keys older than 7 days, a few thousand per transaction; how many. Runs as the worker role."""
    total = 0
    while True:
        async with writing(pool) as tx:
            deleted = await tx.execute(_FORGET, ROWS_AT_ONCE)
        total += deleted
        if deleted < ROWS_AT_ONCE:
            return total


async def _claim(tx: Writing, principal: Principal, key: str, fingerprint: bytes) -> Ran | None:
    """The stored reply, or None with the key locked until the transaction ends."""
    if not await tx.fetchval(_LOCK, f"{principal.user_id}:{key}"):
        raise KeyInFlight
    stored = await _find(tx, principal, key, fingerprint)
    return None if stored is None else Ran(stored, replayed=True)


async def _find(tx: Reading, principal: Principal, key: str, fingerprint: bytes) -> StoredReply | None:
    row = await _row(tx, principal.user_id, key)
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise KeyReused
    return row.reply


async def _row(tx: Reading, principal: UUID, key: str) -> KeyRow | None:
    row = await tx.fetchrow(_FIND, principal, key)
    if row is None:
        return None
    reply = StoredReply(row["status"], _headers.decode(row["headers"]), row["body"], row["seq"])
    return KeyRow(principal, key, row["fingerprint"], reply)


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


async def _insert(tx: Writing, principal: Principal, key: str, fingerprint: bytes, reply: StoredReply) -> None:
    try:
        await tx.execute(
            _INSERT,
            principal.user_id,
            key,
            fingerprint,
            reply.status,
            _encode(reply.headers),
            reply.body,
            reply.seq,
        )
    except asyncpg.UniqueViolationError as error:
        # A team command of another process took the key between our look and our row.
        raise KeyInFlight from error


_LOCK: Final = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_FIND: Final = "select fingerprint, status, headers, body, seq from idempotency_keys where principal = $1 and key = $2"
_INSERT: Final = """
insert into idempotency_keys (principal, key, fingerprint, status, headers, body, seq)
values ($1, $2, $3, $4, $5, $6, $7)
"""
_FORGET: Final = """
delete from idempotency_keys where (principal, key) in (
    select principal, key from idempotency_keys where created_at < now() - interval '7 days' limit $1
)
"""
