"""A worker that ends at a point as by kill -9: `python -m tests.support.dying_worker CONSUMER POINT`.

It has the relay and that consumer; its settings are in the environment.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import anyio
from msgspec import structs

from actors.system import TeamSystem
from db.object_store import ObjectStore
from streams.consumers import runner
from streams.consumers.plan import ConsumerPlan, Handled
from streams.mail.delivery import SmtpServer
from streams.webhooks.client import WebhookClient
from taskforge.commands import worker
from taskforge.parts import work
from taskforge.settings import load
from tests.support.effects import frequent

__all__ = ["CAUSED", "COMMITTED", "OUTSIDE", "main"]

COMMITTED: Final = "its effect is committed, its offset is not"
CAUSED: Final = "its effect was caused, and nothing is written of it"

OUTSIDE: Final[dict[str, tuple[type, str]]] = {
    "mail": (SmtpServer, "send"),
    "operations": (ObjectStore, "put"),
    "thumbnails": (ObjectStore, "put"),
    "history": (ObjectStore, "put"),
    "recurrence": (TeamSystem, "ask"),
    "webhooks": (WebhookClient, "post"),
    "reports": (ObjectStore, "put"),
}
"""What causes the effects of consumers that cause them elsewhere than in the transaction that says so."""

WRITTEN_BESIDE: Final = frozenset({"search"})
"""Consumers whose effect may be there before the event: what fills documents up may be quicker than the topic."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(kind: type, name: str) -> None:
    """Let the process end when this was done for the first time."""
    real: Callable[..., Any] = getattr(kind, name)

    async def dying(self: Any, *given: Any, **named: Any) -> Any:
        await real(self, *given, **named)
        die()

    setattr(kind, name, dying)


def die_before_the_offset(consumer: str) -> None:
    """Let the process end when the consumer has applied something and is about to commit offsets."""
    applied = False

    class Dying(runner._Life):
        def __init__(self, plan: ConsumerPlan, *given: Any) -> None:
            real = plan.handle

            async def handle(name: str, record: Any) -> Handled:
                nonlocal applied
                handled = await real(name, record)
                applied = applied or handled == "applied" or consumer in WRITTEN_BESIDE
                return handled

            super().__init__(structs.replace(plan, handle=handle), *given)

        async def _commit(self, *given: Any) -> None:
            if applied:
                die()
            await super()._commit(*given)

    runner._Life = Dying  # type: ignore[misc, assignment]


async def main(consumer: str, point: str) -> None:
    """Work until the point is reached."""
    if point == COMMITTED:
        die_before_the_offset(consumer)
    else:
        die_after(*OUTSIDE[consumer])
    work.CONSUMERS = frequent()  # type: ignore[misc]
    await worker.work(load(os.environ), frozenset({"relay", consumer}))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
