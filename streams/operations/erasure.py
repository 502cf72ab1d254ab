"""The end of a user: out of every team, out of the account, then out of what is remembered.

    note ──► leave ──► close ──► redact ──► farewell ──► forget ──► tell
               │ rejoin  ▲ pivot: from here on nobody signs in as the user any more

The last owner of a team cannot leave it. Where that shows only now, everything is taken back, and the account stays.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from core.ask import Ask
from core.commands import AddMember, AnyCommand, RemoveMember
from core.errors import Conflict, NotFound
from core.permissions import Role
from core.principal import Principal
from db import inbox, objects, outbox
from db.ids import made_at, uuid_of
from db.redaction.history import redact_history, teams_that_name
from db.redaction.users import close_account, forget_user, name_of, places_in, places_left
from db.transaction import Writing, reading
from streams.operations.kinds import Context, Kind, NotYet, Plan, Refused, Step, nothing_to_undo
from streams.operations.redaction import RedactionPorts, tell_team

__all__ = ["ERASURE", "FAREWELL", "ErasurePorts", "erasure"]

ERASURE: Final = Plan("erasure", ("note", "leave", "close", "redact", "farewell", "forget", "tell"))
FAREWELL: Final = "account-deleted"
"""The purpose of the last mail to the user."""
MAIL_CONSUMER: Final = "mail"


class ErasurePorts(Struct, frozen=True):
    """What an erasure works with. `mail_seconds`: so long the address is kept for the last mail to leave."""

    redaction: RedactionPorts
    mail_seconds: float = 600.0


def erasure(ports: ErasurePorts) -> Kind:
    """The kind of operation that erases its user."""
    steps = _Steps(ports)
    return Kind(
        ERASURE,
        (
            Step(name="note", effect=steps.note, undo=nothing_to_undo),
            Step(name="leave", outside=steps.leave, undo_outside=steps.rejoin),
            Step(name="close", role="pivot", outside=steps.leave, effect=steps.close),
            Step(name="redact", role="retry", outside=steps.redact),
            Step(name="farewell", role="retry", effect=steps.farewell),
            Step(name="forget", role="retry", effect=steps.forget),
            Step(name="tell", role="retry", outside=steps.tell),
        ),
    )


class _Steps:
    def __init__(self, ports: ErasurePorts) -> None:
        self._ports, self._patience = ports.redaction, timedelta(seconds=ports.mail_seconds)

    async def note(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """Which teams the user is in, and as what. Their name is not written down once more."""
        return {"places": [[str(team_id), role] for team_id, role in await places_in(tx, context.user_id)]}

    async def leave(self, context: Context) -> None:
        """End every membership, each in its team's own history.

        The team that refuses decides by its own state, so that of two owners who leave at once one stays. Raises
        Refused, an Unavailable.
        """
        async with reading(self._ports.worker, None) as tx:
            places = await places_in(tx, context.user_id)
        for team_id, _ in places:
            try:
                await self._ask(team_id, RemoveMember(context.user_id), Principal.of_user(context.user_id))
            except NotFound:
                continue  # Somebody else removed them, or an earlier attempt.
            except Conflict as refusal:
                if refusal.reason != "last-owner":
                    raise
                raise Refused(f"You are the only owner of the team {team_id} (last-owner).") from refusal

    async def rejoin(self, context: Context) -> None:
        """Give the user back the memberships that they had, as far as they have left. Raises an Unavailable."""
        async with reading(self._ports.worker, None) as tx:
            name = await name_of(tx, context.user_id)
            # Those that were joined after the first look have been left, too.
            left = await places_left(tx, context.user_id, made_at(context.id))
        for team_id, role in {**dict(left), **dict(_places(context))}.items():
            try:
                await self._ask(team_id, AddMember(context.user_id, name, role), Principal.of_system(context.user_id))
            except NotFound:
                continue  # The team is gone.
            except Conflict as refusal:
                if refusal.reason != "already-member":
                    raise

    async def close(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """The pivot: sessions, keys and tickets end, nobody signs in any more, and one last mail is on its way.

        Raises NotYet when the user was made a member of something at this moment.
        """
        if not await close_account(tx, context.user_id):
            raise NotYet("the user has joined a team meanwhile")
        return {"mail": await outbox.put(tx, outbox.MAIL, FAREWELL, context.user_id)}

    async def redact(self, context: Context) -> None:
        """Take the user's names out of the journals of all teams they ever were a member of."""
        for team_id in await teams_that_name(self._ports.worker, context.user_id):
            await redact_history(self._ports.worker, team_id, {context.user_id})

    async def farewell(self, context: Context, tx: Writing) -> None:
        """Wait for the last mail, whose address is read when it is sent, but not for a mail server that is gone.

        Raises NotYet.
        """
        mail = uuid_of(str(context.data["mail"]))
        sent = await inbox.is_applied(tx, MAIL_CONSUMER, str(mail))
        if not sent and datetime.now(UTC) - made_at(mail) < self._patience:
            raise NotYet("the last mail has not left yet")

    async def forget(self, context: Context, tx: Writing) -> None:
        """Replace name and address, and forget everything that tells of the person."""
        await objects.expire_all_of(tx, context.user_id)
        await forget_user(tx, context.user_id)

    async def tell(self, context: Context) -> None:
        """Each team's next event says that its history was redacted."""
        for team_id in await teams_that_name(self._ports.worker, context.user_id):
            await tell_team(self._ports, team_id, (context.user_id,), context.user_id)

    async def _ask(self, team_id: UUID, command: AnyCommand, principal: Principal) -> None:
        await self._ports.teams.ask(team_id, command, Ask(principal))


def _places(context: Context) -> Iterable[tuple[UUID, Role]]:
    return ((UUID(team_id), role) for team_id, role in context.data.get("places", ()))
