"""A command on its way through a mailbox, and its result."""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Final
from uuid import UUID

from msgspec import Struct

from actors.ports import Representation
from core.ask import Ask
from core.codec import Encoded
from core.columns import Column
from core.commands import AnyCommand
from core.comment import Comment
from core.errors import DeadlineExceeded, DomainError
from core.task import Task
from core.writes import StoredReply


class Item(Struct, frozen=True, gc=False):
    """A task that a command affected; `data` is its JSON in the data of its event, where there is one."""

    task: Task
    data: bytes | None

    def encoded(self, representation: Representation) -> bytes:
        """The task in a representation, without encoding it once more where its event has the same bytes."""
        reused = self.data if representation.reuses_events else None
        return representation.task(self.task) if reused is None else reused


class CommandResult(Struct, frozen=True, gc=False):
    """What a command caused. `seq` is the team's after it; `events` is empty when nothing changed.

    `epoch` is the team's. `items` has each affected task in the order of the operations (a deleted one as it last was).
    `replayed` is set when the idempotency key was used before for the same request: that stored answer is the one to
    send. `comment` is the one that a command was about, as it is after it. `overfull` has the columns that hold more
    than their limit since, where the team is warned of that. `columns` are all of the team, in their order, after the
    command.
    """

    seq: int
    events: tuple[Encoded, ...]
    items: tuple[Item, ...]
    replayed: StoredReply | None = None
    epoch: int = 1
    comment: Comment | None = None
    overfull: tuple[UUID, ...] = ()
    columns: Mapping[UUID, Column] = {}


NOT_MADE: Final = "The change waited too long and was not made."
NOT_KNOWN: Final = "The change was not confirmed in time; whether it was made is not known."

Render = Callable[[CommandResult | DomainError], StoredReply]
"""Pure: from a result or a refusal to exactly the reply that the client gets."""


class KeySlot(Struct, frozen=True):
    """An idempotency key with what is needed to store its reply beside the effect."""

    principal: UUID
    key: str
    fingerprint: bytes
    render: Render

    @property
    def id(self) -> tuple[UUID, str]:
        """The key's identity: its principal and itself."""
        return (self.principal, self.key)


def slot_for(ask: Ask, render: Render | None) -> KeySlot | None:
    """The slot of the ask's key, if it has one. Raises TypeError for a key without a way to render its reply."""
    if ask.key is None:
        return None
    if render is None:
        raise TypeError("an ask with a key needs a way to render the reply")
    return KeySlot(ask.principal.id, ask.key, ask.fingerprint, render)


class Envelope:
    """A command with the ask that it came by, its deadline (monotonic seconds) and the future of its result.

    `context` is the caller's: what is logged about this command alone runs there, and names its request.
    """

    __slots__ = ("ask", "command", "context", "deadline", "key", "reply")

    def __init__(
        self,
        command: AnyCommand,
        ask: Ask,
        deadline: float,
        key: KeySlot | None,
        reply: "asyncio.Future[CommandResult]",
    ) -> None:
        self.command, self.ask, self.deadline = command, ask, deadline
        self.key, self.reply = key, reply
        self.context = copy_context()

    def resolve(self, result: CommandResult) -> None:
        """Answer with the result, unless the caller has gone."""
        if not self.reply.done():
            self.reply.set_result(result)

    def expire(self, now: float, detail: str) -> None:
        """Answer if the deadline has passed at `now` (monotonic seconds), whatever becomes of the command later."""
        if self.deadline < now:
            self.fail(DeadlineExceeded(detail))

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless the caller has gone."""
        if not self.reply.done():
            self.reply.set_exception(error)
