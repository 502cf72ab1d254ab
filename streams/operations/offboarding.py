"""The end of a team: it is deleted by its own event, then out of the topics, the tables and the object store.

    end ──► publish ──► clear ──► files                     begin ──► redact ──► tell ──► clear
    ▲ pivot: from here on nobody is in the team any more     30 days later; a schedule starts it, once

What was written in the team stays in its journal for 30 days, where only an operator finds it, and is then forgotten.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from core.ask import Ask
from core.commands import DeleteTeam
from core.errors import Forbidden, NotFound
from core.principal import Principal
from db.objects import forget_expired_objects
from db.offboarding import (
    KEPT,
    clear_team,
    end_team,
    expire_files,
    forget_team,
    is_published,
    was_deleted,
)
from db.past.snapshots import forget_expired
from db.redaction.history import redact_team
from db.snapshots import forget_snapshots
from db.transaction import Writing, reading
from streams.operations.kinds import Context, Kind, NotYet, Plan, Refused, Step
from streams.operations.redaction import RedactionPorts, tell_team

__all__ = ["OFF_BOARDING", "TEAM_REDACTION", "off_boarding", "team_redaction"]

OFF_BOARDING: Final = Plan("off-boarding", ("end", "publish", "clear", "files"))
TEAM_REDACTION: Final = Plan("team-redaction", ("begin", "redact", "tell", "clear"))


def off_boarding(ports: RedactionPorts) -> Kind:
    """The kind that deletes a team in the name of an owner. Once the team has said so there is no way back."""
    steps = _OffBoarding(ports)
    return Kind(
        OFF_BOARDING,
        (
            Step(name="end", role="pivot", outside=steps.end, effect=steps.note),
            Step(name="publish", role="retry", effect=steps.publish),
            Step(name="clear", role="retry", outside=steps.clear),
            Step(name="files", role="retry", outside=steps.files),
        ),
    )


def team_redaction(ports: RedactionPorts) -> Kind:
    """The kind that forgets what was written in a deleted team."""
    steps = _Redaction(ports)
    return Kind(
        TEAM_REDACTION,
        (
            Step(name="begin", role="pivot"),
            Step(name="redact", role="retry", outside=steps.redact),
            Step(name="tell", role="retry", outside=steps.tell),
            Step(name="clear", role="retry", outside=steps.clear_again, effect=steps.forget),
        ),
    )


class _Clearing:
    def __init__(self, ports: RedactionPorts) -> None:
        self._ports = ports

    async def clear(self, context: Context) -> None:
        """Empty the team's tables, and drop the snapshot that a process may have left of it."""
        await clear_team(self._ports.worker, _team_of(context))
        await forget_snapshots(self._ports.valkey, _team_of(context))

    async def files(self, context: Context) -> None:
        """Delete attachments, reports and boards of the past. Raises ObjectStoreUnavailable."""
        await expire_files(self._ports.worker, _team_of(context))
        await forget_expired_objects(self._ports.worker, self._ports.objects)
        await forget_expired(self._ports.worker, self._ports.objects, _team_of(context))


class _OffBoarding(_Clearing):
    async def end(self, context: Context) -> None:
        """Have the team end itself, by its own history. Raises Refused where the user does not own it any more."""
        team_id = _team_of(context)
        try:
            await self._ports.teams.ask(team_id, DeleteTeam(), Ask(Principal.of_user(context.user_id)))
        except (NotFound, Forbidden) as refusal:
            async with reading(self._ports.worker, None) as tx:
                deleted = await was_deleted(tx, team_id)
            if not deleted:  # Otherwise by an earlier attempt, or another owner.
                raise Refused("You are not an owner of this team any more.") from refusal

    async def note(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """The team's row says so too; with it end keys, tickets, invitations and webhooks."""
        deleted_at = await end_team(tx, _team_of(context), context.user_id)
        return {"result": {"deleted_at": deleted_at, "forgotten_from": deleted_at + KEPT}}

    async def publish(self, context: Context, tx: Writing) -> None:
        """Wait until the relay has told everybody, who is told of its tasks' end by that. Raises NotYet."""
        if not await is_published(tx, _team_of(context)):
            raise NotYet("the topics do not say yet that the team is gone")


class _Redaction(_Clearing):
    async def redact(self, context: Context) -> None:
        """Take everything that was written in the team out of its journal."""
        await redact_team(self._ports.worker, _team_of(context))

    async def tell(self, context: Context) -> None:
        """The team's last event says so."""
        await tell_team(self._ports, _team_of(context), (_team_of(context),), context.user_id)

    async def clear_again(self, context: Context) -> None:
        """What a consumer may have written after the team had gone, because it was late."""
        await self.clear(context)
        await self.files(context)

    async def forget(self, context: Context, tx: Writing) -> None:
        """What the team was called, and who was in it."""
        await forget_team(tx, _team_of(context))


def _team_of(context: Context) -> UUID:
    assert context.team_id is not None, "it is of a team"
    return context.team_id
