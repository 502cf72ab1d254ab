"""Fires what is due, once, however many schedulers there are and whenever one of them is killed.

One scheduler leads: it holds a lease that lives with its database session, and the others stand by. The lease only
saves work. What makes each effect happen once is in Postgres (`db/schedules.py`), so that two that both believe they
lead, as they may for a moment after a lost connection, do no harm.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from msgspec import Struct

from core.errors import StorageUnavailable
from core.rhythm import next_span
from db import schedules
from db.pool import Pool
from db.transaction import writing
from streams.leases import SCHEDULER, Leases
from streams.scheduler.schedules import Schedule

__all__ = ["Scheduler", "SchedulerStatistics"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
FROZEN_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 60.0
"""How long a schedule rests whose firing has failed: it must not fill the log."""


class SchedulerStatistics(Struct, frozen=True):
    """`firings` and `failures` by schedule, since the start. `behind` is how many seconds ago the time lies up to which
    a schedule has been fired, as of the last look of the one that leads; `leads` is whether this one does."""

    firings: Mapping[str, int]
    failures: Mapping[str, int]
    behind: Mapping[str, float]
    leads: bool
    ready: bool


class Scheduler:
    """A part of a worker. `now` is UTC; tests give it a clock of theirs and call `round` themselves."""

    name = "scheduler"

    def __init__(
        self, pool: Pool, wanted: Sequence[Schedule], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._pool, self._schedules, self._now = pool, tuple(wanted), now
        self._leases = Leases(pool, SCHEDULER, 1)
        self._stopping = anyio.Event()
        self._firings = {schedule.name: 0 for schedule in wanted}
        self._failures = dict(self._firings)
        self._behind = dict[str, float]()
        self._resting = dict[str, float]()
        self._round_ended = float("-inf")

    @property
    def ready(self) -> bool:
        """Whether it leads or stands by, which needs a database that answers."""
        return time.monotonic() - self._round_ended < FROZEN_SECONDS

    def statistics(self) -> SchedulerStatistics:
        leads = bool(self._leases.held)
        behind = dict(self._behind) if leads else {}
        return SchedulerStatistics(dict(self._firings), dict(self._failures), behind, leads, self.ready)

    def stop(self) -> None:
        """Finish the transaction in hand and return from `run`."""
        self._stopping.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Fire what is due until stopped; a database that is down is waited for."""
        task_status.started()
        try:
            while not self._stopping.is_set():
                await self._lead_or_stand_by()
                with anyio.move_on_after(LOOK_SECONDS):
                    await self._stopping.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._leases.close()

    async def _lead_or_stand_by(self) -> None:
        try:
            await self._leases.balance()
            if self._leases.held:
                await self.round()
            self._round_ended = time.monotonic()
        except StorageUnavailable as error:
            logger.warning("the scheduler waits for the database: %s", error)

    async def round(self) -> int:
        """Fire everything that is due now; how many firings there were. Raises StorageUnavailable.

        What one schedule raises delays only that one.
        """
        return sum([await self._fire_all(schedule) for schedule in self._schedules if not self._rests(schedule)])

    def _rests(self, schedule: Schedule) -> bool:
        return time.monotonic() < self._resting.get(schedule.name, float("-inf"))

    async def _fire_all(self, schedule: Schedule) -> int:
        fired = 0
        try:
            while not self._stopping.is_set() and await self._fire_next(schedule):
                fired += 1
                self._firings[schedule.name] += 1
        except StorageUnavailable:
            raise
        except Exception:
            # The transaction is rolled back, so that nothing is lost: the same span is fired again after the rest.
            logger.exception("the schedule %s failed and rests for %g s", schedule.name, PAUSE_SECONDS)
            self._failures[schedule.name] += 1
            self._resting[schedule.name] = time.monotonic() + PAUSE_SECONDS
        return fired

    async def _fire_next(self, schedule: Schedule) -> bool:
        """One transaction: a firing, or a slice of one; False when nothing is due."""
        now = self._now()
        async with writing(self._pool) as tx:
            fired_until = await schedules.claim(tx, schedule.name, now)
            if fired_until is None:
                return False
            self._behind[schedule.name] = max(0.0, (now - fired_until).total_seconds())
            span = next_span(schedule.rhythm, fired_until, now)
            if span is None:
                return False
            await schedules.plan_for_these(tx)
            if await schedule.fire(tx, span):
                await schedules.move(tx, schedule.name, span.until)
            return True
