"""Operations for tests: kinds whose effects are rows that can be counted, and deaths at every point of a step."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import uuid_utils.compat as uuids

from db.operations import Operation, find
from db.pool import Pools
from db.transaction import Writing, reading, writing
from streams.operations.kinds import Context, Kind, Plan, Step
from streams.operations.runner import OperationRunner
from tests.support.waiting import until_answered

TRIP = Plan("trip", ("flight", "hotel", "pay", "mail"))
"""Two steps that can be taken back, a pivot, and one that is tried until it works."""
LEASE = 0.4


async def started(pools: Pools, user_id: UUID, team_id: UUID | None = None) -> str:
    """The id of an operation of the user's that nobody moves."""
    async with writing(pools.api, user_id) as tx:
        return str((await TRIP.start(tx, user_id, team_id=team_id)).id)


class Killed(BaseException):
    """The process is gone: nothing runs any more, no last word is said."""


class Trip:
    """Counts what happens to whom. `effects` are rows of the database, `outside` what was done where it does not reach.

    `at` names points where the step dies or fails: "flight.outside", "pay.effect", "hotel.undo", …"""

    def __init__(self, superuser: "asyncpg.Connection[Any]", pools: Pools) -> None:
        self.superuser, self.pools = superuser, pools
        self.user_id: UUID = uuids.uuid7()
        self.outside: Counter[str] = Counter()
        self.at: dict[str, Callable[[], BaseException]] = {}
        self.heard: list[Operation] = []

    @classmethod
    async def open(cls, superuser: "asyncpg.Connection[Any]", pools: Pools) -> "Trip":
        await superuser.execute(
            "create table effects (operation uuid, effect text); grant select, insert on effects to taskforge_worker"
        )
        return cls(superuser, pools)

    @property
    def kind(self) -> Kind:
        return Kind(
            TRIP,
            (
                Step(name="flight", effect=self.effect, undo=self.undo),
                Step(name="hotel", effect=self.effect, outside=self.act, undo=self.undo, undo_outside=self.act_back),
                Step(name="pay", role="pivot", effect=self.effect),
                Step(name="mail", role="retry", outside=self.act, effect=self.effect),
            ),
            attempts=3,
        )

    def runner(self, **options: Any) -> "MortalRunner":
        return MortalRunner(self, self.pools.worker, [self.kind], self.notify, lease_seconds=LEASE, **options)

    async def start(self, **data: Any) -> UUID:
        async with writing(self.pools.api, self.user_id) as tx:
            return (await TRIP.start(tx, self.user_id, data=data)).id

    async def now(self, operation_id: UUID) -> Operation:
        async with reading(self.pools.api, self.user_id) as tx:
            found = await find(tx, self.user_id, operation_id)
        assert found is not None
        return found

    async def ended(self, operation_id: UUID, *runners: OperationRunner) -> Operation:
        """Have the runners move it, in turn, until it has ended."""

        async def moved() -> bool:
            for runner in runners:
                await runner.move()
            return (await self.now(operation_id)).ended_at is not None

        await until_answered(moved)
        return await self.now(operation_id)

    async def effects(self, operation_id: UUID) -> Counter[str]:
        rows = await self.superuser.fetch("select effect from effects where operation = $1", operation_id)
        return Counter(row["effect"] for row in rows)

    async def notify(self, operation: Operation) -> None:
        self.heard.append(operation)

    def die(self, point: str) -> None:
        """Once: whoever comes again lives."""
        if (made := self.at.pop(point, None)) is not None:
            raise made()

    async def effect(self, context: Context, tx: Writing) -> dict[str, Any]:
        self.die(f"{context.step}.begin")
        await tx.execute("insert into effects values ($1, $2)", context.id, context.step)
        self.die(f"{context.step}.effect")
        more = {"result": {"seat": "7A"}} if context.step == "pay" else {}
        return {context.step: context.attempt, **more}

    async def undo(self, context: Context, tx: Writing) -> None:
        await tx.execute("insert into effects values ($1, $2)", context.id, f"-{context.step}")
        self.die(f"{context.step}.undo")

    async def act(self, context: Context) -> str:
        self.outside[context.step] += 1
        self.die(f"{context.step}.outside")
        return f"{context.id}/{context.step}"

    async def act_back(self, context: Context) -> None:
        self.outside[f"-{context.step}"] += 1
        self.die(f"{context.step}.undo_outside")


class MortalRunner(OperationRunner):
    """A runner that can be killed between the commits of its own, and then says no last word."""

    def __init__(self, trip: Trip, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._trip = trip
        self.dead = False

    async def _do(self, operation: Operation, task: Any) -> Operation:
        self._trip.die(f"{task.step.name}.claimed")
        after = await super()._do(operation, task)
        self._trip.die(f"{task.step.name}.committed")
        return after

    async def _let_go(self, operation: Operation) -> None:
        self.dead = True
