"""Makes the next task of a series: asks the team, which decides whether it is time and makes it once.

A job that is delivered again, or whose answer was lost, asks again, and the team does nothing. So nothing is claimed.
"""

from typing import Final, Protocol
from uuid import UUID

from core.ask import Ask
from core.commands import AnyCommand, RepeatTask
from core.errors import NotFound
from core.principal import Principal
from db import outbox
from db.pool import Pool
from db.recurring import PURPOSE, find_bearer
from db.transaction import reading
from streams.consumers.jobs import Job, asked_at, read_job
from streams.consumers.plan import ConsumerPlan, Handled

__all__ = ["NAME", "Teams", "recurrence"]

NAME: Final = "recurrence"


class Answer(Protocol):
    """What came of a command."""

    @property
    def events(self) -> tuple[object, ...]: ...


class Teams(Protocol):
    """The door to every team (`actors.system.TeamSystem`)."""

    async def ask(self, team_id: UUID, command: AnyCommand, ask: Ask) -> Answer: ...


def recurrence(pool: Pool, teams: Teams) -> ConsumerPlan:
    """The consumer group `taskforge.recurrence`, over the worker's pool."""

    async def handle(_: str, job: Job) -> Handled:
        if job.purpose != PURPOSE:
            return "passed"
        async with reading(pool, None) as tx:
            bearer = await find_bearer(tx, job.subject)
        if bearer is None:
            return "passed"
        # The clock of whoever asked may be ahead of ours.
        command = RepeatTask(job.subject, asked_at(job))
        try:
            answer = await teams.ask(bearer.team_id, command, Ask(Principal.of_system(bearer.created_by)))
        except NotFound:
            return "passed"  # The team is gone.
        return "applied" if answer.events else "passed"

    return ConsumerPlan(NAME, outbox.JOBS, handle, read=read_job)
