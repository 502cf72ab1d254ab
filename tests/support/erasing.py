"""Users in teams, a worker that moves what takes long, and its deaths."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import uuid_utils.compat as uuids
from msgspec import structs
from valkey.asyncio import Valkey

from actors.system import TeamSystem
from core.codec import JournalRow
from core.commands import AddMember, CreateTeam
from db.journal.journal import PostgresJournal
from db.operations import Operation, find
from db.pool import Pools
from db.transaction import reading, writing
from streams.operations.erasure import ERASURE, ErasurePorts, erasure
from streams.operations.kinds import Kind
from streams.operations.redaction import RedactionPorts
from streams.operations.runner import OperationRunner
from tests.support.asking import by
from tests.support.sagas import Killed
from tests.support.team_writer import add_user
from tests.support.waiting import until_answered

CANARY = "canary-4711"
NOT_WAITING = 0.0


class Town:
    """Users in teams, and a worker that moves operations."""

    def __init__(self, pools: Pools, teams: TeamSystem, valkey: Valkey, superuser: "asyncpg.Connection[Any]") -> None:
        self.pools, self.teams, self.superuser = pools, teams, superuser
        self._hurrying = asyncio.Lock()
        self.ports = RedactionPorts(pools.worker, teams, valkey, None)

    async def user(self, name: str = "Ada") -> UUID:
        return await add_user(self.pools, name)

    async def team(self, owner: UUID, *members: UUID) -> UUID:
        """A team whose members are called as their id is."""
        team_id = uuids.uuid7()
        await self.teams.ask(team_id, CreateTeam(team_id, "Town", "TOWN", f"{CANARY} {owner}"), by(owner))
        for member in members:
            await self.teams.ask(team_id, AddMember(member, f"{CANARY} {member}", "member"), by(owner))
        return team_id

    async def erase(self, user_id: UUID, kind: Kind | None = None) -> Operation:
        async with writing(self.pools.api, user_id) as tx:
            started = await ERASURE.start(tx, user_id)
        return await self.ended(user_id, started.id, kind or self.erasure())

    def erasure(self) -> Kind:
        return erasure(ErasurePorts(self.ports, NOT_WAITING))

    async def ended(self, user_id: UUID, operation_id: UUID, kind: Kind) -> Operation:
        """Have runners move the operation until it has ended; one that is killed is followed by another."""

        async def moved() -> bool:
            try:
                await Mortal(self.pools.worker, [kind], nobody, lease_seconds=0.4).move()
            except* Killed:
                pass
            return (await self.now(user_id, operation_id)).ended_at is not None

        async with self._hurrying:  # One connection, and two who are erased at once.
            await self.superuser.execute("update operations set next_at = now() where next_at > now() + interval '1 s'")
        await until_answered(moved)
        return await self.now(user_id, operation_id)

    async def now(self, user_id: UUID, operation_id: UUID) -> Operation:
        async with reading(self.pools.api, user_id) as tx:
            found = await find(tx, user_id, operation_id)
        assert found is not None
        return found

    async def rows(self, team_id: UUID) -> list[Any]:
        return await self.superuser.fetch("select * from task_events where team_id = $1 order by seq", team_id)

    async def journal(self, team_id: UUID) -> Sequence[JournalRow]:
        """As readers get it."""
        return await PostgresJournal(self.pools).read(team_id, 0)

    async def types(self, team_id: UUID) -> list[str]:
        return [row["type"] for row in await self.rows(team_id)]


class Mortal(OperationRunner):
    """A runner that says no last word when it is killed."""

    async def _let_go(self, operation: Operation) -> None:
        pass


async def nobody(_: Operation) -> None:
    return


def dying(kind: Kind, step: str, when: str) -> Kind:
    """The kind, whose first attempt at a step dies before or after what it does."""
    times = [1]

    def die() -> None:
        if times:
            times.pop()
            raise Killed

    def around(act: Callable[..., Any]) -> Callable[..., Any]:
        async def acted(*arguments: Any) -> Any:
            if when == "before":
                die()
            came_to = await act(*arguments)
            if when == "after":
                die()
            return came_to

        return acted

    return Kind(
        kind.plan,
        tuple(
            one
            if one.name != step
            else structs.replace(one, outside=around(one.outside))
            if one.outside is not None
            else structs.replace(one, effect=around(one.effect))
            for one in kind.steps
        ),
        kind.attempts,
    )
