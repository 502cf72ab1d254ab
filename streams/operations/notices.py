"""What the user of an operation hears of it while it goes on: notices in the live feeds that they have open.

A worker says it over Valkey, every API process listens and hands it to its own feeds. At most once, and only to whoever
is there: a notice has no `seq`, is never replayed, and says nothing that `GET /v1/operations/{id}` does not say.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import anyio
import msgspec
from msgspec import Struct
from valkey.asyncio import Valkey

from db.operations import Operation, Status, StepState
from db.signed import Forged, Signer
from db.valkey import QuietLog, ValkeyUnavailable, listen, valkey_errors
from streams.feeds.frames import Notice

__all__ = ["NoticeListener", "NoticeSender", "OperationState", "state_of"]

logger = logging.getLogger(__name__)

CHANNEL: Final = b"taskforge:notices"
SAID_SECONDS: Final = 30.0
SEND_SECONDS: Final = 2.0


class OperationState(Struct, frozen=True, kw_only=True):
    """An operation as its user sees it in a notice: without its result, which is read where it is asked for."""

    id: UUID
    kind: str
    status: Status
    steps: Sequence[StepState]
    progress: float
    team_id: UUID | None
    created_at: datetime
    ended_at: datetime | None
    error: str | None


class _Message(Struct, array_like=True, frozen=True):
    user_id: UUID
    operation: msgspec.Raw


def state_of(operation: Operation) -> OperationState:
    """The operation without what is nobody's business but the program's."""
    return OperationState(
        id=operation.id,
        kind=operation.kind,
        status=operation.status,
        steps=operation.steps,
        progress=round(operation.progress, 3),
        team_id=operation.team_id,
        created_at=operation.created_at,
        ended_at=operation.ended_at,
        error=operation.error,
    )


class NoticeSender:
    """Says where operations stand, for a worker."""

    def __init__(self, valkey: Valkey, signer: Signer) -> None:
        self._valkey, self._signer = valkey, signer
        self._log = QuietLog(logger)

    async def __call__(self, operation: Operation) -> None:
        """Say it once; nobody waits for a Valkey that is away."""
        message = _Message(operation.user_id, msgspec.Raw(_encode(state_of(operation))))
        signed = self._signer.sign("notices", CHANNEL, _encode(message), seconds=SAID_SECONDS)
        try:
            with valkey_errors(), anyio.fail_after(SEND_SECONDS):
                await self._valkey.publish(CHANNEL, signed)
        except ValkeyUnavailable as error:
            self._log.warning("a notice reaches nobody: %s", error)


class NoticeListener:
    """Hears what workers say, for an API process. `deliver` gets the user and the notice."""

    def __init__(self, valkey: Valkey, signer: Signer, deliver: Callable[[UUID, Notice], None]) -> None:
        self._valkey, self._signer, self._deliver = valkey, signer, deliver
        self._log = QuietLog(logger)

    async def run(self) -> None:
        """Listen until cancelled, and again after every failure; what is said in between is lost."""
        await listen(self._valkey, CHANNEL, self._hear, partial(self._log.warning, "notices are not heard: %s"))

    def _hear(self, data: bytes) -> None:
        """What is not signed by one of us reaches nobody."""
        try:
            message = _decode(self._signer.verify("notices", CHANNEL, data).body)
        except (Forged, msgspec.MsgspecError) as error:
            self._log.warning("a message on %s is not one of ours: %s", CHANNEL, error)
        else:
            self._deliver(message.user_id, Notice(bytes(message.operation)))


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Message).decode
