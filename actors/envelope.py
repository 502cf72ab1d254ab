"""A command on its way through a mailbox, and what comes back."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from uuid import UUID

from msgspec import Struct

from core.codec import Encoded
from core.commands import AnyCommand
from core.errors import DomainError
from core.writes import StoredReply

Item = tuple[UUID, int, bytes]
"""(task id, version, task JSON)."""


class CommandResult(Struct, frozen=True, gc=False):
    """What a command caused. `seq` is the team's after it; `events` may be empty when nothing changed.

    `items` has each affected task in the order of the operations (a deleted one as it last was). `replayed` is set when
    the idempotency key had been used for the same request: send that answer instead.
    """

    seq: int
    events: tuple[Encoded, ...]
    items: tuple[Item, ...]
    replayed: StoredReply | None = None


class KeySlot(Struct, frozen=True):
    """An idempotency key with what is needed to store its answer beside the effect.

    `render` is pure: it turns the outcome or the refusal into exactly the answer that the client gets.
    """

    principal: UUID
    key: str
    fingerprint: bytes
    render: Callable[[CommandResult | DomainError], StoredReply]

    @property
    def id(self) -> tuple[UUID, str]:
        """The key's identity: its principal and itself."""
        return (self.principal, self.key)


class Envelope:
    """A command with its asker, deadline (monotonic seconds), trace context and the future of its reply.

    `context` is the one it was asked in: what is logged about this command alone runs there, and names its request.
    """

    __slots__ = ("actor_id", "command", "context", "deadline", "key", "reply", "traceparent")

    def __init__(
        self,
        command: AnyCommand,
        actor_id: UUID,
        deadline: float,
        traceparent: str,
        key: KeySlot | None,
        reply: "asyncio.Future[CommandResult]",
    ) -> None:
        self.command, self.actor_id, self.deadline = command, actor_id, deadline
        self.traceparent, self.key, self.reply = traceparent, key, reply
        self.context = copy_context()

    def resolve(self, outcome: CommandResult) -> None:
        """Answer, unless the asker has gone."""
        if not self.reply.done():
            self.reply.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        """Refuse, unless the asker has gone."""
        if not self.reply.done():
            self.reply.set_exception(error)
