"""The highest epoch that a team of this database was ever given, remembered outside of it.

A dump that is restored once more knows nothing of the epochs that were given since it was made: each restore would give
the same ones again, and event ids would name two contents. So what was given is remembered in each process and, signed,
in Valkey. Losing that costs what the topic does not witness (`docs/decisions/the-topic-is-a-witness.md`).
"""

import logging
from typing import Final

from valkey.asyncio import Valkey

from db.signed import Forged, Signer
from db.valkey import QuietLog, ValkeyUnavailable, valkey_errors

__all__ = ["HighestEpoch"]

KEPT_SECONDS: Final = 10 * 365 * 86_400.0

logger = logging.getLogger(__name__)
quiet = QuietLog(logger)


class HighestEpoch:
    """Of the database of this name. `value` is what this process knows of it; 0 for nothing."""

    def __init__(self, valkey: Valkey, signer: Signer, database: str) -> None:
        self.value = 0
        self._valkey, self._signer = valkey, signer
        self._key = b"taskforge:highest-epoch:" + database.encode()

    async def look(self) -> None:
        """Learn what other processes have given, and say what they do not know: Valkey may have lost it.

        Without Valkey nothing is learnt, and what somebody else has put there is replaced.
        """
        try:
            with valkey_errors():
                data = await self._valkey.get(self._key)
                known = 0 if data is None else self._epoch_of(data)
                if known < self.value:
                    said = self._signer.sign("epoch", self._key, b"", seconds=KEPT_SECONDS, epoch=self.value)
                    await self._valkey.set(self._key, said)
            self.value = max(self.value, known)
        except ValkeyUnavailable as error:
            quiet.warning("what epochs were given cannot be asked or said: %s", error)

    async def give(self, epoch: int) -> None:
        """Remember that an epoch was given."""
        self.value = max(self.value, epoch)
        await self.look()

    def _epoch_of(self, data: bytes) -> int:
        try:
            return self._signer.verify("epoch", self._key, data).epoch
        except Forged as error:
            quiet.warning("what Valkey has of epochs was not said by us: %s", error)
            return 0
