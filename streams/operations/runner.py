"""Moves operations, a step at a time: exactly one effect of each, however many workers there are and whenever they die.

    claim     the step's number, its attempt and a lease are committed: from here on it may have happened
    outside   what no transaction reaches; the lease is renewed while it lasts
    effect    the row is locked, compared with what was claimed, the step writes, its record is written: one commit

Who dies after the claim leaves a lease that runs out, and the step is done again: its effect was not committed. Who is
merely slow finds at the effect that the row has moved on, and everything it wrote is rolled back. A job wakes the
runner at once; looking every few seconds finds what no job has announced.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from anyio import TASK_STATUS_IGNORED, CancelScope
from anyio.abc import TaskStatus
from msgspec import Struct, structs

from core.errors import StorageUnavailable
from db import operations
from db.operations import Operation
from db.pool import Pool
from db.transaction import writing
from streams.kafka.broker import Backoff
from streams.operations.kinds import Context, Kind, NotYet, Outside
from streams.operations.machine import Task, claimed, failed, given_up, pause_after, succeeded, task_of

__all__ = ["OperationRunner", "OperationStatistics"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
LEASE_SECONDS: Final = 20.0
WAIT_SECONDS: Final = 5.0
AT_ONCE: Final = 4
STOP_SECONDS: Final = 4.0
LAST_WORDS_SECONDS: Final = 1.0
CRASHED: Final = "The work was begun several times and cut off each time. What had been done so far was taken back."

Notify = Callable[[Operation], Awaitable[None]]
"""Tells the operation's user where it stands, now or never: it must not raise."""


class OperationStatistics(Struct, frozen=True):
    """Counted since the start: `steps` done, `undone` and `failed` (attempts), `lost` to somebody who was quicker;
    operations that `ended`. `stuck` are those that somebody should look at, as of the last look."""

    steps: int = 0
    undone: int = 0
    failed: int = 0
    lost: int = 0
    ended: int = 0
    stuck: int = 0
    ready: bool = False


class _Lost(Exception):
    """Somebody else has moved the operation since it was claimed: what is in hand is theirs now."""


class OperationRunner:
    """Moves operations of the given kinds until stopped. Any number of them may run at once, in any processes."""

    def __init__(
        self,
        pool: Pool,
        kinds: Sequence[Kind],
        notify: Notify,
        *,
        lease_seconds: float = LEASE_SECONDS,
        at_once: int = AT_ONCE,
        name: str = "steps",
    ) -> None:
        self.name = name
        self._pool = pool
        self._kinds = {kind.plan.kind: kind for kind in kinds}
        self._notify = notify
        self._lease_seconds = lease_seconds
        self._at_once = at_once
        self._stopping = anyio.Event()
        self._awake = anyio.Event()
        self._busy = 0
        self._statistics = OperationStatistics()

    @property
    def ready(self) -> bool:
        """Whether the database answered lately."""
        return self._statistics.ready

    def statistics(self) -> OperationStatistics:
        return self._statistics

    def wake(self) -> None:
        """An operation has been started."""
        self._awake.set()
        self._awake = anyio.Event()

    def stop(self) -> None:
        """Finish the steps in hand, as far as they end soon, and return from `run`."""
        self._stopping.set()
        self.wake()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Move operations until stopped; a database that is down is waited for."""
        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as workers:
                for _ in range(self._at_once):
                    workers.start_soon(self._work)
                group.start_soon(self._count_stuck)
                task_status.started()
                await self._stopping.wait()
                workers.cancel_scope.deadline = anyio.current_time() + STOP_SECONDS
            group.cancel_scope.cancel()
        self._statistics = structs.replace(self._statistics, ready=False)

    async def _work(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            awake = self._awake
            try:
                moved = await self.move()
            except StorageUnavailable as error:
                logger.warning("operations wait: %s", error)
                self._statistics = structs.replace(self._statistics, ready=False)
                await backoff.wait()
                continue
            self._statistics = structs.replace(self._statistics, ready=True)
            backoff.reset()
            if not moved:
                with anyio.move_on_after(LOOK_SECONDS):
                    await awake.wait()

    async def _count_stuck(self) -> None:
        while True:
            try:
                stuck = await operations.stuck(self._pool)
            except StorageUnavailable as error:
                logger.warning("stuck operations are not counted: %s", error)
            else:
                self._statistics = structs.replace(self._statistics, stuck=stuck)
            await anyio.sleep(self._lease_seconds)

    async def move(self) -> bool:
        """Do the next step of an operation that is due; False when none is. Raises StorageUnavailable."""
        found = await self._claim()
        if found is None:
            return False
        operation, task = found
        if task is None:
            return True
        after: Operation | None
        try:
            after = await self._do(operation, task)
        except _Lost:
            logger.info("operation %s was moved by another worker", operation.id)
            self._count(lost=1)
            return True
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 (any failure of a step is the operation's, and is recorded with it)
            after = await self._failed(operation, task, error)
        except BaseException:
            await self._let_go(operation)
            raise
        if after is not None:
            await self._notify(after)
        return True

    async def _claim(self) -> tuple[Operation, Task | None] | None:
        """An operation with the step to do, on record as begun. None for the step: giving it up was all there was."""
        async with writing(self._pool) as tx:
            operation = await operations.claim(tx, list(self._kinds))
            if operation is None:
                return None
            kind = self._kinds[operation.kind]
            task = task_of(kind, operation)
            if task is None:  # A newer program's: it is left to that one.
                await operations.save(tx, operation, operation, seconds=self._lease_seconds)
                return operation, None
            cut_off = not task.back and task.step.role != "retry" and operation.attempts >= kind.attempts
            if cut_off:
                after, task_in_hand = given_up(operation, task, CRASHED, _now()), None
            else:
                after, task_in_hand = claimed(operation, task), task
            seconds = self._lease_seconds if task_in_hand else 0.0
            saved = await operations.save(tx, operation, after, seconds=seconds)
        assert saved is not None, "the row is locked"
        if task_in_hand is None:
            logger.error("operation %s (%s): step %s was cut off each time", saved.id, saved.kind, task.step.name)
            self._count(ended=saved.ended_at is not None)
            await self._notify(saved)
        return saved, task_in_hand

    async def _do(self, operation: Operation, task: Task) -> Operation:
        """The step, or what takes it back. Raises _Lost."""
        context = Context(
            id=operation.id,
            kind=operation.kind,
            user_id=operation.user_id,
            team_id=operation.team_id,
            step=task.step.name,
            attempt=operation.attempts,
            data=operation.data,
        )
        outside = task.step.undo_outside if task.back else task.step.outside
        if outside is not None:
            context.outcome = await self._act(outside, operation, context, task)
        effect = task.step.undo if task.back else task.step.effect
        async with writing(task.step.pool or self._pool) as tx:
            if not await operations.hold(tx, operation):
                raise _Lost
            added = None if effect is None else await effect(context, tx)
            after = await operations.save(tx, operation, succeeded(operation, task, added, _now()), seconds=0.0)
            if after is None:
                raise _Lost
        self._count(steps=not task.back, undone=task.back, ended=after.ended_at is not None)
        return after

    async def _act(self, outside: Outside, operation: Operation, context: Context, task: Task) -> Any:
        """Act outside while the lease is renewed. Raises what it raises, and _Lost when the lease is lost."""
        outcome: Any = None
        failure: Exception | None = None
        lost = False

        async def keep(acting: CancelScope) -> None:
            nonlocal lost
            lost = not await self._keep_lease(operation, context, task)
            acting.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(keep, group.cancel_scope)
            try:
                outcome = await outside(context)
            except Exception as error:  # noqa: BLE001 (raised again below, out of the group)
                failure = error
            group.cancel_scope.cancel()
        if lost:
            raise _Lost
        if failure is not None:
            raise failure
        return outcome

    async def _keep_lease(self, operation: Operation, context: Context, task: Task) -> bool:
        """Renew the lease until it is found to be somebody else's; then False."""
        while True:
            await anyio.sleep(self._lease_seconds / 4)
            progress = operation.progress
            if not task.back:
                progress = max(progress, (task.index + context.progress) / len(operation.steps))
            try:
                async with writing(self._pool) as tx:
                    if not await operations.renew(tx, operation, progress, seconds=self._lease_seconds):
                        return False
            except StorageUnavailable as error:
                logger.warning("the lease of operation %s is not renewed: %s", operation.id, error)
            else:
                await self._notify(structs.replace(operation, progress=progress))

    async def _failed(self, operation: Operation, task: Task, error: Exception) -> Operation | None:
        """Record that the attempt failed. None when somebody else has moved the operation meanwhile."""
        after = failed(self._kinds[operation.kind], operation, task, error, _now())
        turned = after.undoing and not operation.undoing
        async with writing(task.step.pool or self._pool) as tx:
            pause = WAIT_SECONDS if isinstance(error, NotYet) else pause_after(operation.attempts)
            seconds = 0.0 if turned else pause
            saved = await operations.save(tx, operation, after, seconds=seconds)
        self._count(failed=1, ended=saved is not None and saved.ended_at is not None)
        if isinstance(error, NotYet):
            logger.info("operation %s waits at step %s: %s", operation.id, task.step.name, error)
            return saved
        logger.log(
            logging.ERROR if after.status == "stuck" else logging.WARNING,
            "operation %s (%s): %s of step %s failed at attempt %d%s: %s: %s",
            operation.id,
            operation.kind,
            "undoing" if task.back else "doing",
            task.step.name,
            operation.attempts,
            " and is stuck" if after.status == "stuck" else "",
            type(error).__name__,
            error,
            exc_info=error,
        )
        return saved

    async def _let_go(self, operation: Operation) -> None:
        """Cut off in the middle: the next worker need not wait for the lease."""
        with anyio.move_on_after(LAST_WORDS_SECONDS, shield=True):
            try:
                async with writing(self._pool) as tx:
                    await operations.renew(tx, operation, operation.progress, seconds=0.0)
            except StorageUnavailable as error:
                logger.warning("the lease of operation %s runs out by itself: %s", operation.id, error)

    def _count(self, **more: int) -> None:
        before = self._statistics
        self._statistics = structs.replace(before, **{name: getattr(before, name) + n for name, n in more.items()})


def _now() -> datetime:
    return datetime.now(UTC)
