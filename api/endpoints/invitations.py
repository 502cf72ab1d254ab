"""Invitations: admins make, see and revoke them; somebody who is signed in accepts one and is a member.

The membership is given by whoever invited: it comes about only while they may still give that role.
"""

from typing import Final
from uuid import UUID

import msgspec
from blacksheep import Request, Response, Router
from msgspec import UNSET

from actors.board import TeamView
from api import paths
from api.access import Access
from api.answers import NO_STORE, Answer, about_team, encode, json, replay
from api.asks import ask_of
from api.auth.bearer import session_of
from api.auth.emails import clean_email
from api.binding import body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.endpoints.invitation_docs import (
    OPERATIONS,
    Acceptance,
    InvitationAnswer,
    InvitationPage,
    Joined,
    NewInvitation,
)
from api.once import once
from api.paging import INVITATIONS, PageQuery, page_of
from api.paths import link, pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.used_keys import UsedKeys
from core.ask import Ask
from core.commands import AddMember
from core.errors import BadInput, Conflict, DomainError, Forbidden, NotFound, QuotaReached
from core.permissions import Role, check_right, may_grant
from core.principal import Principal
from core.rights import MANAGE_MEMBERS
from core.writes import StoredReply
from db.idempotency import find_reply, replay_or_run
from db.people.acceptances import Taken
from db.people.invitations import Invitation, Wanted
from db.transaction import Writing

__all__ = ["OPERATIONS", "register"]

_joined: Final = msgspec.json.Decoder(Joined).decode


class _Managing:
    """What the admins of a team do."""

    def __init__(self, services: Services) -> None:
        self._access, self._invitations = Access(services), services.invitations
        self._pool, self._sealed = services.pools.api, services.sealed
        self._new = decoder_for(NewInvitation)

    async def create(self, request: Request) -> Response:
        """POST /v1/teams/{team_id}/invitations. The token of a link is in this answer, and never again."""
        call, team_id = call_of(request), path_value(request, "team_id")
        no_query(call)
        refuse_if_match(call)
        view, role = await self._admin(call, team_id)
        new = await body_of(request, self._new)
        if not may_grant(role, new.role):
            raise Forbidden("own_team")
        email = _address(new)
        wanted = Wanted(team_id, call.principal().user_id, new.role, email, new.expires_in, new.max_uses)

        async def run(tx: Writing) -> Answer:
            if email is not None and await self._invitations.account_in(tx, email) in view.state.members:
                raise Conflict("already-member", "This address is a member's already.", pointer="/email")
            made = await self._invitations.invite_in(tx, wanted, call.traceparent)
            location = link(paths.TEAM_INVITATION, team_id, made.invitation.id)
            headers = about_team(call.team, call.seq, call.epoch, (NO_STORE, (b"location", location)))
            return Answer(201, encode(shown(view, made.invitation, made.token)), headers)

        return await once(self._pool, call, run, sealed=self._sealed)

    async def list(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/invitations."""
        call, team_id = call_of(request), path_value(request, "team_id")
        user_id = call.principal().user_id
        query = query_of(request, PageQuery)
        view, _ = await self._admin(call, team_id)
        before = None if query.cursor is None else INVITATIONS.read(query.cursor)
        found = await self._invitations.list(user_id, team_id, before=before, limit=query.limit + 1)
        visible, last = page_of(found, query.limit)
        items = tuple(shown(view, one) for one in visible)
        page = InvitationPage(items, None if last is None else INVITATIONS.write(last.id))
        return json(200, page, about_team(call.team, call.seq, call.epoch))

    async def show(self, request: Request) -> Response:
        """GET /v1/teams/{team_id}/invitations/{invitation_id}."""
        call, team_id = call_of(request), path_value(request, "team_id")
        user_id = call.principal().user_id
        no_query(call)
        view, _ = await self._admin(call, team_id)
        found = await self._invitations.one(user_id, team_id, path_value(request, "invitation_id"))
        return json(200, shown(view, found), about_team(call.team, call.seq, call.epoch))

    async def revoke(self, request: Request) -> Response:
        """DELETE /v1/teams/{team_id}/invitations/{invitation_id}."""
        call, team_id = call_of(request), path_value(request, "team_id")
        invitation_id = path_value(request, "invitation_id")
        no_query(call)
        refuse_if_match(call)
        _, role = await self._admin(call, team_id)

        async def run(tx: Writing) -> Answer:
            found = await self._invitations.one_in(tx, team_id, invitation_id)
            if not may_grant(role, found.role):
                raise Forbidden("own_team")
            await self._invitations.revoke_in(tx, team_id, invitation_id)
            return Answer(204, b"", about_team(call.team, call.seq, call.epoch), b"")

        return await once(self._pool, call, run, sealed=self._sealed)

    async def _admin(self, call: Call, team_id: UUID) -> tuple[TeamView, Role]:
        """The team, and the caller's role as it is committed at this moment. Raises NotFound("team"), Forbidden.

        Memory hears of a role that sank in another process a little later, and nothing here asks the team's writer.
        """
        view, principal = await self._access.team(call, team_id), call.principal()
        role = await self._invitations.role_of(principal.user_id, team_id)
        check_right(role, principal, MANAGE_MEMBERS)
        return view, role


class _Accepting:
    """What those do who were invited."""

    def __init__(self, services: Services) -> None:
        self._access, self._acceptances = Access(services), services.acceptances
        self._teams, self._pool = services.teams, services.pools.api
        self._body = decoder_for(Acceptance)

    async def accept(self, request: Request) -> Response:
        """POST /v1/invitations/accept: 200 with the membership, also when the caller has it already."""
        call = call_of(request)
        session_of(call.principal())
        no_query(call)
        refuse_if_match(call)
        given = await body_of(request, self._body)
        ask = await ask_of(call)
        found = None if ask.key is None else await find_reply(self._pool, ask)
        if found is not None:
            # Somebody who was removed since gets no stored answer.
            await self._access.team(call, _joined(found.reply.body).team_id)
            return replay(found.reply).response()
        answer = await self._join(call, given.token)

        async def run(_tx: Writing) -> StoredReply:
            return answer.stored(call.seq)

        ran = await replay_or_run(self._pool, ask, run)
        return replay(ran.reply, replayed=ran.replayed).response()

    async def _join(self, call: Call, token: str) -> Answer:
        user_id = call.principal().user_id
        taken = await self._acceptances.take(user_id, token)
        if not taken.member:
            await self._add(call, taken, token)
        view = await self._access.team(call, taken.team_id)
        member = view.state.members[user_id]
        joined = Joined(taken.team_id, member.user_id, member.role, member.name, member.joined_at)
        location = (b"location", link(paths.TEAM, taken.team_id))
        return Answer(200, encode(joined), about_team(call.team, call.seq, call.epoch, (location,)))

    async def _add(self, call: Call, taken: Taken, token: str) -> None:
        """Have the team make the membership, in the name of whoever invited.

        Raises NotFound("invitation") when they may not give it any more, QuotaReached, an Unavailable: then what was
        taken stays the caller's, and they may ask again.
        """
        user_id = call.principal().user_id
        ask = Ask(Principal.of_user(taken.invited_by), traceparent=call.traceparent)
        try:
            await self._teams.ask(taken.team_id, AddMember(user_id, taken.name, taken.role), ask)
        except DomainError as error:
            await self._acceptances.give_back(user_id, taken, token)
            if isinstance(error, Conflict) and error.reason == "already-member":
                return
            if isinstance(error, QuotaReached):
                raise
            raise NotFound("invitation") from error


def _address(new: NewInvitation) -> str | None:
    if new.email is None:
        return None
    email = clean_email(new.email)
    if email is None:
        raise BadInput("This is not an e-mail address.", pointer="/email")
    return email


def shown(view: TeamView, one: Invitation, token: str | None = None) -> InvitationAnswer:
    """The invitation as admins see it: it counts only while its inviter may give that role."""
    inviter = view.state.members.get(one.invited_by)
    return InvitationAnswer(
        id=one.id,
        email=one.email,
        role=one.role,
        invited_by=one.invited_by,
        valid=inviter is not None and may_grant(inviter.role, one.role),
        created_at=one.created_at,
        expires_at=one.expires_at,
        max_uses=one.max_uses,
        uses=one.uses,
        token=UNSET if token is None else token,
    )


def register(router: Router, services: Services) -> None:
    """The endpoints of invitations."""
    managing, keyed = _Managing(services), UsedKeys(services).around
    router.add_post(pattern(paths.TEAM_INVITATIONS), keyed(managing.create))
    router.add_get(pattern(paths.TEAM_INVITATIONS), managing.list)
    router.add_get(pattern(paths.TEAM_INVITATION), managing.show)
    router.add_delete(pattern(paths.TEAM_INVITATION), keyed(managing.revoke))
    router.add_post(pattern(paths.ACCEPT_INVITATION), keyed(_Accepting(services).accept))
