"""Redaction: the journal forgets, then the tables, then whoever holds copies is told by the team's next event.

That a team's history was redacted comes from the team's own writer, and takes a number like all of its events.
"""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from valkey.asyncio import Valkey

from actors.envelope import CommandResult
from actors.system import TeamSystem
from core.ask import Ask
from core.commands import RedactHistory
from core.errors import DomainError, NotFound
from core.principal import Principal
from core.writes import StoredReply
from db.object_store import ObjectStore
from db.objects import forget_expired_objects
from db.past.snapshots import forget_expired
from db.pool import Pool
from db.redaction.boards import drop_boards
from db.redaction.comments import forget_comment
from db.redaction.history import redact_history
from db.redaction.tasks import forget_task
from db.redactions_due import clear_due
from db.snapshots import forget_snapshots
from db.transaction import Writing, writing
from db.valkey import ValkeyUnavailable
from streams.operations.kinds import Context, Kind, Plan, Step

__all__ = [
    "COMMENT_REDACTION",
    "TASK_REDACTION",
    "RedactionPorts",
    "comment_redaction",
    "task_redaction",
    "tell_team",
]

logger = logging.getLogger(__name__)

_STEPS: Final = ("begin", "redact", "forget", "tell")
TASK_REDACTION: Final = Plan("task-redaction", _STEPS)
COMMENT_REDACTION: Final = Plan("comment-redaction", _STEPS)
KEY: Final = "history-redacted-{team_id}"


class RedactionPorts(Struct, frozen=True):
    """What redaction works with: the worker's pool, the door to the teams, and where snapshots of them are."""

    worker: Pool
    teams: TeamSystem
    valkey: Valkey
    objects: ObjectStore | None


def task_redaction(ports: RedactionPorts) -> Kind:
    """The kind that forgets a task which was deleted for good; `data` has its `task_id`. There is no way back."""
    return _kind(TASK_REDACTION, _OfTask(ports))


def comment_redaction(ports: RedactionPorts) -> Kind:
    """The kind that forgets a deleted comment; `data` has its `comment_id` and `task_id`. There is no way back."""
    return _kind(COMMENT_REDACTION, _OfComment(ports))


def _kind(plan: Plan, steps: "_Steps") -> Kind:
    return Kind(
        plan,
        (
            Step(name="begin", role="pivot"),
            Step(name="redact", role="retry", outside=steps.redact),
            Step(name="forget", role="retry", effect=steps.forget),
            Step(name="tell", role="retry", outside=steps.tell),
        ),
    )


class _Steps(ABC):
    """The journal, then what was written because of it, then the team."""

    def __init__(self, ports: RedactionPorts) -> None:
        self._ports = ports

    @abstractmethod
    def subject(self, context: Context) -> UUID:
        """What is forgotten."""

    @abstractmethod
    async def forget(self, context: Context, tx: Writing) -> None:
        """Take the subject's text out of what was written because of it."""

    async def redact(self, context: Context) -> None:
        """Take the subject's text out of the journal, in which all of it stands in rows about the task."""
        subjects, task = {self.subject(context)}, {_task_of(context)}
        await redact_history(self._ports.worker, _team_of(context), subjects, among=task)

    async def tell(self, context: Context) -> None:
        """The team's next event says so."""
        team_id, subject = _team_of(context), self.subject(context)
        await tell_team(self._ports, team_id, (subject,), context.user_id)
        async with writing(self._ports.worker) as tx:
            await clear_due(tx, team_id, _task_of(context), subject)


class _OfTask(_Steps):
    def subject(self, context: Context) -> UUID:
        return _task_of(context)

    async def forget(self, context: Context, tx: Writing) -> None:
        await forget_task(tx, _team_of(context), _task_of(context))


class _OfComment(_Steps):
    def subject(self, context: Context) -> UUID:
        return UUID(context.data["comment_id"])

    async def forget(self, context: Context, tx: Writing) -> None:
        await forget_comment(tx, _team_of(context), _task_of(context), self.subject(context))


def _team_of(context: Context) -> UUID:
    assert context.team_id is not None, "a task is in a team"
    return context.team_id


def _task_of(context: Context) -> UUID:
    return UUID(context.data["task_id"])


async def tell_team(ports: RedactionPorts, team_id: UUID, subjects: Sequence[UUID], actor_id: UUID) -> None:
    """Have the team say that its journal has forgotten the subjects, and drop the copies that may not have.

    An idempotency key of the first subject's, which commits with the event, makes it one event for however many
    attempts. A team that is gone has nobody to be told. Raises an Unavailable, and ObjectStoreUnavailable.
    """
    await drop_boards(ports.worker, team_id, subjects)
    await forget_expired(ports.worker, ports.objects, team_id)
    await forget_expired_objects(ports.worker, ports.objects)
    try:
        await forget_snapshots(ports.valkey, team_id)
    except ValkeyUnavailable as error:
        logger.warning("snapshots of team %s stay until somebody reads them: %s", team_id, error)
    fingerprint = hashlib.sha256(b"".join(one.bytes for one in (team_id, *subjects))).digest()
    ask = Ask(Principal(subjects[0], actor_id, "system"), KEY.format(team_id=team_id), fingerprint)
    try:
        through = (await ports.teams.view(team_id)).seq
        await ports.teams.ask(team_id, RedactHistory(tuple(subjects), through), ask, _stored)
    except NotFound:
        logger.info("team %s is gone, and has no history to tell of", team_id)


def _stored(answer: CommandResult | DomainError) -> StoredReply:
    assert isinstance(answer, CommandResult), "the team refuses this of nobody who may ask it"
    return StoredReply(204, (), b"", answer.seq)
