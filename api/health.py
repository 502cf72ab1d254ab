"""Whether a process should get work: the answer of `/readyz`, the same for API processes and workers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

__all__ = ["PROBE_SECONDS", "Health", "NotReady", "Probe", "Readiness"]

log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 0.5
"""Within a second the whole answer must be on its way, whatever hangs below."""


class NotReady(Exception):
    """A part of this process does not do its work now; the text says why, for the log."""


class Probe(Struct, frozen=True):
    """One dependency or part as `/readyz` sees it. `check` returns when it is well and raises when it is not.

    Without what is `required` the process is of no use; without anything else it is only degraded.
    """

    name: str
    check: Callable[[], Awaitable[object]]
    required: bool = True


class Readiness(Struct, frozen=True):
    """A check is "ok", "down" (refused, failed, gone) or "frozen" (it takes what it is sent and does not answer).

    `status` is "ready", "degraded" (something optional is down), "draining" or "unavailable"."""

    status: str
    checks: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether the process should get work, even if something optional is down."""
        return self.status in ("ready", "degraded")


class Health:
    """The probes of one process, and whether it is `draining`: it then finishes what it has and wants nothing new."""

    def __init__(self, probes: Iterable[Probe] = ()) -> None:
        self.probes = tuple(probes)
        self.draining = asyncio.Event()

    @contextmanager
    def probing(self, probes: Iterable[Probe]) -> Iterator[None]:
        """Until the block ends, these are the probes."""
        before, self.probes = self.probes, tuple(probes)
        try:
            yield
        finally:
            self.probes = before

    async def readiness(self) -> Readiness:
        """The state of every probe: all are asked at once, each for at most `PROBE_SECONDS`."""
        probes = self.probes
        states = await asyncio.gather(*(_state(probe) for probe in probes))
        checks = {probe.name: state for probe, state in zip(probes, states, strict=True)}
        if self.draining.is_set():
            return Readiness("draining", checks)
        if any(probe.required and checks[probe.name] != "ok" for probe in probes):
            return Readiness("unavailable", checks)
        return Readiness("ready" if set(checks.values()) <= {"ok"} else "degraded", checks)


async def _state(probe: Probe) -> str:
    """ "ok", "down", or "frozen" when there is no answer at all; the reason goes to the log only."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await probe.check()
    except TimeoutError:
        log.warning("not ready: %s: no answer", probe.name)
        return "frozen"
    except Exception as error:  # noqa: BLE001 (whatever a driver raises, it means the same here)
        reason = str(error) if isinstance(error, NotReady) else type(error).__name__
        log.warning("not ready: %s: %s", probe.name, reason)
        return "down"
    return "ok"
