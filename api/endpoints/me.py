"""`/v1/me`: the account of the caller and their sessions; `notifications.py` has what they are told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import UNSET, Meta, Struct, UnsetType

from api import paths
from api.answers import Answer, encode, json
from api.auth.bearer import session_of
from api.auth.emails import clean_name
from api.auth.time_zones import check_time_zone
from api.binding import MERGE_PATCH, body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.endpoints.account_examples import MY_SESSION, USER
from api.endpoints.team_examples import page
from api.names import Names
from api.once import once
from api.openapi import PAGE, Operation, Parameter, Reply
from api.paging import SESSIONS, PageQuery, page_of
from api.paths import pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.used_keys import UsedKeys
from core.errors import NotFound
from core.rights import SESSION, SIGNED_IN
from db.people.identity import User
from db.people.mail_preferences import Preference
from db.transaction import Writing

__all__ = ["OPERATIONS", "register"]


class MailPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Which mails are wanted: what is left out stays as it is. Those about the account itself always come."""

    digest: bool | UnsetType = UNSET
    mentions: bool | UnsetType = UNSET
    assignments: bool | UnsetType = UNSET

    def chosen(self) -> dict[Preference, bool]:
        """Those that are given."""
        given: dict[Preference, bool | UnsetType] = {
            "digest": self.digest,
            "mentions": self.mentions,
            "assignments": self.assignments,
        }
        return {name: wanted for name, wanted in given.items() if not isinstance(wanted, UnsetType)}


class MePatch(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch of the account: what is left out stays as it is."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    time_zone: Annotated[str, Meta(max_length=64, description="IANA name.")] | UnsetType = UNSET
    mail: MailPatch | UnsetType = UNSET


class MySession(Struct, frozen=True):
    """A session that can still be used; `current` is the one that asks."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str
    ip: str | None
    current: bool


class Sessions(Struct, frozen=True):
    """A page of sessions, newest first."""

    items: Sequence[MySession]
    next_cursor: str | None


class _Everywhere(Struct, frozen=True, kw_only=True):
    others: Literal["true", "false"] = "false"


_FLAG: Final = {"type": "string", "enum": ["true", "false"], "default": "false"}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.ME,
        id="getMe",
        summary="The account of the caller",
        tag="Me",
        description="With an API key it is the account of the key's user.",
        replies={200: Reply(description="The account.", body=User, example=USER)},
        requires=SIGNED_IN,
    ),
    Operation(
        method="PATCH",
        path=paths.ME,
        id="patchMe",
        summary="Change name, time zone or which mails are wanted",
        tag="Me",
        description=(
            "A JSON merge patch. Teams learn of a new name as `member.updated`; sent again, the patch reaches those "
            "that could not be asked the first time."
        ),
        replies={200: Reply(description="The account after the change.", body=User, example=USER)},
        body=MePatch,
        body_media_types=MERGE_PATCH,
        body_example={"name": "Ada Lovelace", "mail": {"digest": False}},
        keyed=True,
        requires=SESSION,
    ),
    Operation(
        method="GET",
        path=paths.MY_SESSIONS,
        id="listMySessions",
        summary="Where I am signed in",
        tag="Me",
        description="`current` marks the one that asks. Addresses and clients are those of its last use.",
        replies={200: Reply(description="Usable sessions, newest first.", body=Sessions, example=page(MY_SESSION))},
        parameters=PAGE,
        requires=SIGNED_IN,
    ),
    Operation(
        method="DELETE",
        path=paths.MY_SESSIONS,
        id="revokeMySessions",
        summary="Sign out everywhere",
        tag="Me",
        description="Every session ends with its access tokens and open feeds, at once. API keys stay.",
        replies={204: Reply(description="The sessions have ended, with their access tokens and feeds.")},
        parameters=(Parameter(name="others", schema=_FLAG, description="`true` keeps the session that asks."),),
        keyed=True,
        requires=SESSION,
    ),
    Operation(
        method="DELETE",
        path=paths.MY_SESSION,
        id="revokeMySession",
        summary="End one session",
        tag="Me",
        description="Its access tokens and open feeds end at once. A session that is somebody else's is a 404.",
        replies={204: Reply(description="The session has ended, with its access tokens and feeds.")},
        problems=("not-found",),
        keyed=True,
        requires=SESSION,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    me, keyed = _Me(services), UsedKeys(services).around
    router.add_get(pattern(paths.ME), me.show)
    router.add_patch(pattern(paths.ME), keyed(me.change))
    router.add_get(pattern(paths.MY_SESSIONS), me.sessions)
    router.add_delete(pattern(paths.MY_SESSIONS), keyed(me.end_sessions))
    router.add_delete(pattern(paths.MY_SESSION), keyed(me.end_session))


class _Me:
    def __init__(self, services: Services) -> None:
        self._pool = services.pools.api
        self._identity = services.identity
        self._revocations = services.revocations
        self._names = Names(services)
        self._patch = decoder_for(MePatch)

    async def show(self, request: Request) -> Response:
        """The account."""
        no_query(call_of(request))
        return json(200, await self._identity.user(call_of(request).principal().user_id))

    async def change(self, request: Request) -> Response:
        """Change the time zone, the mails that are wanted, and the name here and in every team. Raises BadInput."""
        call = call_of(request)
        user_id = own_account(call)
        patch = await body_of(request, self._patch, *MERGE_PATCH)
        name = None if isinstance(patch.name, UnsetType) else clean_name(patch.name)
        time_zone = None if isinstance(patch.time_zone, UnsetType) else check_time_zone(patch.time_zone)
        mail = None if isinstance(patch.mail, UnsetType) else patch.mail.chosen()

        async def run(tx: Writing) -> Answer:
            user = await self._identity.change_in(tx, user_id, name=name, time_zone=time_zone, mail=mail)
            return Answer(200, encode(user))

        refuse_if_match(call)
        response = await once(self._pool, call, run, refusals=True)
        if response.status == 200 and name is not None:
            await self._names.carry(call.principal(), call.traceparent)
        return response

    async def sessions(self, request: Request) -> Response:
        """Usable sessions."""
        principal, query = call_of(request).principal(), query_of(request, PageQuery)
        before = None if query.cursor is None else SESSIONS.read(query.cursor)
        found = await self._identity.sessions.list(principal.user_id, before=before, limit=query.limit + 1)
        shown, last = page_of(found, query.limit)
        items = [
            MySession(
                one.id,
                one.created_at,
                one.last_used_at,
                one.expires_at,
                one.user_agent,
                one.ip,
                one.id == principal.session_id,
            )
            for one in shown
        ]
        return json(200, Sessions(items, None if last is None else SESSIONS.write(last.id)))

    async def end_sessions(self, request: Request) -> Response:
        """End all sessions, or all others."""
        call = call_of(request)
        user_id, wanted = own_account(call), query_of(request, _Everywhere)
        keep = call.principal().session_id if wanted.others == "true" else None
        ended: list[UUID] = []

        async def run(tx: Writing) -> Answer:
            ended.extend(await self._identity.sessions.revoke_all_in(tx, user_id, keep=keep))
            return Answer(204)

        refuse_if_match(call)
        response = await once(self._pool, call, run, refusals=True)
        await self._revocations.announce(ended)
        return response

    async def end_session(self, request: Request) -> Response:
        """End one session. Raises NotFound for any that is not a live one of the user's."""
        call = call_of(request)
        user_id = own_account(call)
        session_id: UUID = path_value(request, "session_id")

        async def run(tx: Writing) -> Answer:
            if not await self._identity.sessions.revoke_in(tx, user_id, session_id):
                raise NotFound("session")
            return Answer(204)

        refuse_if_match(call)
        response = await once(self._pool, call, run, refusals=True)
        if response.status == 204:
            await self._revocations.announce([session_id])
        return response


def own_account(call: Call) -> UUID:
    """The user whose account it is, asking in a session. Raises Forbidden for an API key."""
    session_of(call.principal())
    return call.principal().user_id
