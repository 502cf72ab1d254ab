"""How a process ends: in which order, and how long each step may take.

| step | what | at most |
|---|---|---|
| 1 | `/readyz` says draining, so that nobody sends new work | at once |
| 2 | live feeds end, so that their readers come again elsewhere (API) | `FEEDS_SECONDS` |
| 3 | requests on their way are answered (API, by the server) | the rest of `SERVER_SECONDS` |
| 4 | the parts stop, tier by tier: consumers and relay first, then teams, then what both stand on | `PARTS_SECONDS` |
| 5 | pools and connections close | a moment |

Whatever outlives `PROCESS_SECONDS` is killed by the supervisor; a worker ends itself then, in case that one was killed
(`taskforge.last_resort`). That is safe: what is not acknowledged is done again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct

from taskforge.parts.names import Part

__all__ = ["FEEDS_SECONDS", "PARTS_SECONDS", "PROCESS_SECONDS", "SERVER_SECONDS", "TEAMS_SECONDS", "Tiers", "started"]

logger = logging.getLogger(__name__)

FEEDS_SECONDS: Final = 2.0
SERVER_SECONDS: Final = 8.0
PARTS_SECONDS: Final = 7.0
TEAMS_SECONDS: Final = 5.0
"""Of the seconds for all parts, what the teams may spend on commands that wait and on snapshots."""
PROCESS_SECONDS: Final = FEEDS_SECONDS + SERVER_SECONDS

Tiers = Sequence[Sequence[Part]]
"""Parts in the order of their start: each tier stands on those before it. They stop in the opposite order."""


class _Running(Struct):
    """One part's task. Nothing but its own scope cancels it: while others are cancelled, it is stopped in order."""

    scope: anyio.CancelScope
    ended: anyio.Event


@asynccontextmanager
async def started(tiers: Tiers) -> AsyncIterator[None]:
    """Run the parts until the block ends, then stop them tier by tier; whatever takes too long is cut off.

    They stop in order, too, when the block is cancelled or one of them breaks; to cancel once more while they stop ends
    them at once. What the block raises comes out as itself, what a part raises in an exception group.
    """
    failure: Exception | None = None
    running: dict[str, _Running] = {}
    try:
        async with anyio.create_task_group() as group:
            try:
                for part in (part for tier in tiers for part in tier):
                    running[part.name] = _Running(anyio.CancelScope(), anyio.Event())
                    await _start(group, part, running[part.name])
                yield
            except Exception as error:  # noqa: BLE001 (raised again below, once everything has ended)
                failure = error
                await _stop(tiers, running)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await _stop(tiers, running)
                raise
            else:
                await _stop(tiers, running)
            finally:
                for one in running.values():
                    one.scope.cancel()
    except asyncio.CancelledError:
        # A task group of asyncio that failed in the block leaves the task marked as being cancelled (Python 3.11), and
        # anyio then takes its own cancellation for one from outside.
        if failure is None:
            raise
    if failure is not None:
        raise failure


async def _start(group: TaskGroup, part: Part, one: _Running) -> None:
    """Start a part; from then on it is cancelled by its own scope only.

    Until then it can be cancelled like all that is awaited: who is cancelled while a part starts waits for its end.
    """
    try:
        await group.start(_run, part, one)
    except BaseException:
        one.ended.set()
        raise
    one.scope.shield = True


async def _run(part: Part, one: _Running, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
    try:
        with one.scope:
            await part.run(task_status=task_status)
    finally:
        one.ended.set()


async def _stop(tiers: Tiers, running: Mapping[str, _Running]) -> None:
    with anyio.move_on_after(PARTS_SECONDS) as scope:
        for tier in reversed(tiers):
            stopping = [part for part in tier if part.name in running]
            for part in stopping:
                part.stop()
            for part in stopping:
                await running[part.name].ended.wait()
    if scope.cancelled_caught:
        late = ", ".join(name for name, one in running.items() if not one.ended.is_set())
        logger.warning("these parts did not end within %g s and are cut off: %s", PARTS_SECONDS, late)
