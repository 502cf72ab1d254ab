"""What a process remembers of the epochs that were given."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.secret import Secret
from db.highest_epoch import HighestEpoch
from db.keyset import Keyset
from db.signed import Signer
from db.valkey import open_valkey


@asynccontextmanager
async def remembering(
    valkey_url: str, database: str = "any", *, secret: str = "a secret of at least thirty-two bytes"
) -> AsyncIterator[HighestEpoch]:
    """As of a process with this secret that serves the database of this name."""
    async with open_valkey(valkey_url) as valkey:
        yield HighestEpoch(valkey, Signer(Keyset((Secret(secret),))), database)
