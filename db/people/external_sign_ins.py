"""The last step of signing in by another issuer: a code that a browser exchanges for tokens, once."""

import secrets
from typing import Final
from uuid import UUID

import asyncpg

from core.errors import BadInput
from db.expressions import CLOCK, NOW, ago, ahead, limited
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, given, insert, returned_values, values
from db.tables import ExternalSignIns as Table
from db.tokens import shown, token_hash
from db.transaction import Reading, Writing, writing

__all__ = ["CODE_SECONDS", "ExternalSignIns", "forget_external_sign_ins"]

CODE_SECONDS: Final = 60.0
STATE_SECONDS: Final = 900.0
"""Longer than any state is good."""
PREFIX: Final = "tfs_"
LENGTH: Final = len(PREFIX) + 43
REFUSED: Final = "This sign-in is unknown, was finished before, or took too long. Please begin again."


class ExternalSignIns:
    """Keeps codes, under their SHA-256, until they are exchanged. Raises StorageUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, user_id: UUID, state: str) -> str:
        """A code for a user who came back with this state. Raises BadInput when the state came back before."""
        code = shown(PREFIX, secrets.token_bytes(32))
        try:
            async with writing(self._pool, user_id) as tx:
                hashes = {"state_hash": token_hash(state), "code_hash": token_hash(code)}
                await tx.run(_BEGIN, user_id=user_id, seconds=CODE_SECONDS, **hashes)
        except asyncpg.UniqueViolationError as error:
            raise refused() from error
        return code

    async def owner_in(self, tx: Reading, code: str, state: str) -> UUID:
        """Whose code this is, in the browser that has its state. Raises BadInput, the same for every bad one."""
        if len(code) != LENGTH or not code.startswith(PREFIX) or not code.isascii():
            raise refused()
        await tx.scope("app.token_hash", token_hash(code).hex())
        user_id = await tx.one(_OWNER, code_hash=token_hash(code), state_hash=token_hash(state))
        if user_id is None:
            raise refused()
        return user_id

    async def void_in(self, tx: Writing, user_id: UUID) -> None:
        """No code that the user was given is good any more."""
        await tx.run(_VOID, user_id=user_id)

    async def spend_in(self, tx: Writing, user_id: UUID, code: str) -> None:
        """Use the code up in a transaction of its owner's. Raises BadInput when somebody else was quicker."""
        if await tx.one(_SPEND, code_hash=token_hash(code), user_id=user_id) is None:
            raise refused()


async def forget_external_sign_ins(pool: Pool) -> int:
    """Delete those whose state has expired; how many. For the worker pool. Raises StorageUnavailable."""
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, limit=limit, seconds=STATE_SECONDS))


def refused() -> BadInput:
    """The one answer to every bad code."""
    return BadInput(REFUSED, pointer="/code")


_BEGIN: Final = change(
    insert(
        Table,
        state_hash=given("state_hash"),
        code_hash=given("code_hash"),
        user_id=given("user_id"),
        expires_at=ahead(given("seconds")),
        used_at=None,
    )
)
_GOOD: Final = (Table.code_hash == given("code_hash"), Table.used_at.is_null(), Table.expires_at > NOW)
_OWNER: Final = values(UUID, Table.select(Table.user_id).where(*_GOOD, Table.state_hash == given("state_hash")))
_VOID: Final = change(
    Table.update({Table.used_at: CLOCK}).where(Table.user_id == given("user_id"), Table.used_at.is_null())
)
_SPEND: Final = returned_values(
    UUID, Table.update({Table.used_at: CLOCK}).where(*_GOOD, Table.user_id == given("user_id")).returning(Table.user_id)
)
_FORGET: Final = change(
    Table.delete().where(
        Table.state_hash.is_in(
            limited(Table.select(Table.state_hash).where(Table.expires_at < ago(given("seconds"))), given("limit"))
        )
    )
)
