"""`/v1/me/notifications`: what happened that concerns the caller; and which of it they want to be told, and how."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import UNSET, Meta, Struct, UnsetType

from api import paths
from api.answers import Answer, encode, json
from api.auth.bearer import session_of
from api.binding import MERGE_PATCH, body_of, decoder_for, no_query, query_of
from api.calls import call_of
from api.endpoints.account_examples import NOTIFICATION, PREFERENCES
from api.endpoints.team_examples import page
from api.once import once
from api.openapi import PAGE, Operation, Parameter, Reply
from api.paging import NOTIFICATIONS, PageQuery, page_of
from api.paths import pattern
from api.preconditions import refuse_if_match
from api.services import Services
from api.used_keys import UsedKeys
from core.errors import BadInput, Unauthenticated
from core.notices import DEFAULTS, KINDS, Channel, NoticeKind, Switch
from core.permissions import check_scope
from core.rights import SESSION, SIGNED_IN, SIGNED_IN_TO_WRITE
from db.notices.preferences import Preferences, choose_in, preferences_of
from db.people.notifications import MOST_COUNTED, Notification, list_notifications, mark_read, unread_of
from db.transaction import Reading, Writing, reading

__all__ = ["OPERATIONS", "register"]

LARGEST_PAGE: Final = 100


class Notifications(Struct, frozen=True):
    """A page of notifications, newest first."""

    items: Sequence[Notification]
    next_cursor: str | None


class Unread(Struct, frozen=True):
    """How many notifications are unread; `more` says that there are more than that, which nobody counts."""

    unread: int
    more: bool


class ReadNotifications(Struct, frozen=True, forbid_unknown_fields=True):
    """Which notifications were read: `ids`, `all` of them, or all up to the one that is named."""

    ids: Annotated[tuple[UUID, ...], Meta(min_length=1, max_length=LARGEST_PAGE)] | UnsetType = UNSET
    all: Literal[True] | UnsetType = UNSET
    up_to: UUID | UnsetType = UNSET

    def __post_init__(self) -> None:
        if sum(one is not UNSET for one in (self.ids, self.all, self.up_to)) != 1:
            raise ValueError("give either ids, all or up_to")


class Marked(Struct, frozen=True):
    """How many notifications were unread until now."""

    marked: int


class KindPreference(Struct, frozen=True):
    """A kind of notification, and where it goes; null where it never goes that way."""

    kind: NoticeKind
    about: str
    in_app: bool | None
    mail: bool | None


class NotificationPreferences(Struct, frozen=True):
    """Every kind there is, and the hour of the user's day at which they get what comes once a day."""

    kinds: Sequence[KindPreference]
    digest_hour: int


class ChannelsPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Where it goes: what is left out stays as it is."""

    in_app: bool | UnsetType = UNSET
    mail: bool | UnsetType = UNSET


class PreferencesPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON merge patch: `kinds` has those that change, by their names."""

    kinds: dict[NoticeKind, ChannelsPatch] | UnsetType = UNSET
    digest_hour: Annotated[int, Meta(ge=0, le=23)] | UnsetType = UNSET


class _NotificationPage(PageQuery, frozen=True, kw_only=True):
    unread: Literal["true", "false"] = "false"


_FLAG: Final = {"type": "string", "enum": ["true", "false"], "default": "false"}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.MY_NOTIFICATIONS,
        id="listMyNotifications",
        summary="What happened that concerns me",
        tag="Me",
        description=(
            "`event_id` names the event that each tells of, `sentence` says it. A key for one team sees those of that "
            "team; nobody sees those of a team that they have left."
        ),
        replies={
            200: Reply(description="Notifications, newest first.", body=Notifications, example=page(NOTIFICATION))
        },
        parameters=(*PAGE, Parameter(name="unread", schema=_FLAG, description="`true` leaves out what was read.")),
        requires=SIGNED_IN,
    ),
    Operation(
        method="GET",
        path=paths.MY_UNREAD_NOTIFICATIONS,
        id="countMyUnreadNotifications",
        summary="How many notifications I have not read",
        tag="Me",
        description=f"Cheap enough to ask often. Beyond {MOST_COUNTED} nobody counts: `more` is true then.",
        replies={200: Reply(description="The number.", body=Unread, example={"unread": 3, "more": False})},
        requires=SIGNED_IN,
    ),
    Operation(
        method="POST",
        path=paths.MY_READ_NOTIFICATIONS,
        id="readMyNotifications",
        summary="Mark notifications as read",
        tag="Me",
        description=(
            "Give `ids` of at most 100, `all`, or `up_to` the newest one that was shown. What was read already is not "
            "counted again. What is read here before its mail has left is not mailed."
        ),
        replies={200: Reply(description="How many were unread.", body=Marked, example={"marked": 3})},
        body=ReadNotifications,
        body_example={"all": True},
        keyed=True,
        requires=SIGNED_IN_TO_WRITE,
    ),
    Operation(
        method="GET",
        path=paths.MY_NOTIFICATION_PREFERENCES,
        id="getMyNotificationPreferences",
        summary="What I am told, and how",
        tag="Me",
        description=(
            "Every kind of notification with its channels: the inbox (`in_app`) and `mail`. `digest_hour` is the hour "
            "of my day, in the time zone of my account, at which the daily digest and reminders of what is due "
            "tomorrow come."
        ),
        replies={200: Reply(description="All switches.", body=NotificationPreferences, example=PREFERENCES)},
        requires=SIGNED_IN,
    ),
    Operation(
        method="PATCH",
        path=paths.MY_NOTIFICATION_PREFERENCES,
        id="patchMyNotificationPreferences",
        summary="Choose what I am told, and how",
        tag="Me",
        description=(
            "A JSON merge patch. `mail` of `/v1/me` has three of these switches under names of its own: `digest`, "
            "`mentions` and `assignments`. Another `digest_hour` counts from now on: nobody gets two digests for one "
            "date, and a morning that the change would leave out is made up for at once."
        ),
        replies={200: Reply(description="All switches, after it.", body=NotificationPreferences, example=PREFERENCES)},
        body=PreferencesPatch,
        body_media_types=MERGE_PATCH,
        body_example={"kinds": {"comment.added": {"mail": False}}, "digest_hour": 7},
        keyed=True,
        requires=SESSION,
    ),
)


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    inbox, keyed = _Inbox(services), UsedKeys(services).around
    router.add_get(pattern(paths.MY_NOTIFICATIONS), inbox.list)
    router.add_get(pattern(paths.MY_UNREAD_NOTIFICATIONS), inbox.unread)
    router.add_post(pattern(paths.MY_READ_NOTIFICATIONS), keyed(inbox.read))
    router.add_get(pattern(paths.MY_NOTIFICATION_PREFERENCES), inbox.preferences)
    router.add_patch(pattern(paths.MY_NOTIFICATION_PREFERENCES), keyed(inbox.choose))


class _Inbox:
    def __init__(self, services: Services) -> None:
        self._pool = services.pools.api
        self._read = decoder_for(ReadNotifications)
        self._patch = decoder_for(PreferencesPatch)

    async def list(self, request: Request) -> Response:
        """What happened that concerns the user, in the teams that the caller reaches."""
        principal, query = call_of(request).principal(), query_of(request, _NotificationPage)
        before = None if query.cursor is None else NOTIFICATIONS.read(query.cursor)
        unread, limit = query.unread == "true", query.limit + 1
        async with reading(self._pool, principal.user_id) as tx:
            found = await list_notifications(
                tx, principal.user_id, team_id=principal.team_id, unread=unread, before=before, limit=limit
            )
        shown, last = page_of(found, query.limit)
        return json(200, Notifications(shown, None if last is None else NOTIFICATIONS.write(last.id)))

    async def unread(self, request: Request) -> Response:
        """How many of them are unread."""
        no_query(call_of(request))
        principal = call_of(request).principal()
        async with reading(self._pool, principal.user_id) as tx:
            unread = await unread_of(tx, principal.user_id, team_id=principal.team_id)
        return json(200, Unread(min(unread, MOST_COUNTED), unread > MOST_COUNTED))

    async def read(self, request: Request) -> Response:
        """Mark notifications as read; ids that are not the user's change nothing."""
        call = call_of(request)
        principal = call.principal()
        check_scope(principal, "write", "read_notifications")
        wanted = await body_of(request, self._read)
        ids = None if isinstance(wanted.ids, UnsetType) else wanted.ids
        up_to = None if isinstance(wanted.up_to, UnsetType) else wanted.up_to

        async def run(tx: Writing) -> Answer:
            marked = await mark_read(tx, principal.user_id, ids, up_to=up_to, team_id=principal.team_id)
            return Answer(200, encode(Marked(marked)))

        refuse_if_match(call)
        return await once(self._pool, call, run, refusals=True)

    async def preferences(self, request: Request) -> Response:
        """Every switch."""
        no_query(call_of(request))
        user_id = call_of(request).principal().user_id
        async with reading(self._pool, user_id) as tx:
            return json(200, await _shown(tx, user_id))

    async def choose(self, request: Request) -> Response:
        """Turn some switches. Raises BadInput for a channel that a kind never takes."""
        call = call_of(request)
        session_of(call.principal())
        user_id = call.principal().user_id
        patch = await body_of(request, self._patch, *MERGE_PATCH)
        switches = _switches({} if isinstance(patch.kinds, UnsetType) else patch.kinds)
        hour = None if isinstance(patch.digest_hour, UnsetType) else patch.digest_hour

        async def run(tx: Writing) -> Answer:
            await choose_in(tx, user_id, switches, digest_hour=hour)
            return Answer(200, encode(await _shown(tx, user_id)))

        refuse_if_match(call)
        return await once(self._pool, call, run, refusals=True)


async def _shown(tx: Reading, user_id: UUID) -> NotificationPreferences:
    """Raises Unauthenticated when the account is gone."""
    found = await preferences_of(tx, user_id)
    if found is None:
        raise Unauthenticated("This account no longer exists.")
    kinds = [
        KindPreference(name, kind.about, _switch(found, (name, "in_app")), _switch(found, (name, "mail")))
        for name, kind in KINDS.items()
    ]
    return NotificationPreferences(kinds, found.digest_hour)


def _switch(preferences: Preferences, switch: Switch) -> bool | None:
    return preferences.switches.get(switch)


def _switches(kinds: Mapping[NoticeKind, ChannelsPatch]) -> dict[Switch, bool]:
    """Raises BadInput for a channel that the kind never takes."""
    chosen = dict[Switch, bool]()
    for kind, channels in kinds.items():
        given: tuple[tuple[Channel, bool | UnsetType], ...] = (("in_app", channels.in_app), ("mail", channels.mail))
        for channel, wanted in given:
            if isinstance(wanted, UnsetType):
                continue
            if (kind, channel) not in DEFAULTS:
                raise BadInput(f"A {kind} never goes this way.", pointer=f"/kinds/{kind}/{channel}")
            chosen[kind, channel] = wanted
    return chosen
