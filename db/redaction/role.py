"""The role that may change what is written for ever. A worker takes it on for a while, and for nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from db.pool import Pool
from db.transaction import Writing, writing

__all__ = ["as_redactor", "redacting"]


@asynccontextmanager
async def redacting(pool: Pool) -> AsyncIterator[Writing]:
    """A transaction as the redactor, over the worker's pool. Raises StorageUnavailable."""
    async with writing(pool) as tx, as_redactor(tx):
        yield tx


@asynccontextmanager
async def as_redactor(tx: Writing) -> AsyncIterator[None]:
    """A part of a worker's transaction as the redactor. What raises in it ends the transaction, and so the role."""
    await tx.execute("set local role taskforge_redactor")
    yield
    await tx.execute("set local role none")
