"""`GET /v1/teams/{team_id}/events`: a team's events, as an endless stream or page by page.

The stream is Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html): `id: <epoch>:<seq>`,
`event: <type>`, `data:` the CloudEvent, beside `heartbeat`, `reset` and `reconnect` events.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from blacksheep import Request, Response, Router
from blacksheep.contents import StreamedContent
from msgspec import Struct

from actors.board import TeamView
from api import accept, paths
from api.access import Access, check_epoch
from api.answers import NO_STORE, Header, about_team, json
from api.auth.lifetimes import Lifetime, seconds_left
from api.binding import query_of
from api.calls import Call, call_of
from api.endpoints.task_docs import CHANGE, OF_TEAM
from api.endpoints.team_examples import page
from api.etags import PRIVATE
from api.openapi import POSITION_SCHEMA, Operation, Parameter, Reply
from api.paging import page_json, page_of
from api.paths import pattern
from api.services import Services
from core.errors import AheadOfHistory, BadInput, HistoryRewritten
from core.rights import READ, in_team
from core.seq import Position, read_position
from core.writes import JournalPosition
from db import readmodel
from streams.cloud_events import cloud_event
from streams.feeds.subscription import FeedEnded, Subscription

__all__ = ["OPERATIONS", "register"]

EVENT_STREAM: Final = b"text/event-stream"
STREAM_HEADERS: Final[tuple[Header, ...]] = (NO_STORE, (b"x-accel-buffering", b"no"))
RETRY_MS: Final = (1000, 3000)

Receive = Callable[[], Awaitable[dict[str, Any]]]


class FeedQuery(Struct, frozen=True, kw_only=True):
    """`after` is a seq or `<epoch>:<seq>`; `limit` counts for pages only."""

    after: str | None = None
    limit: int = 50


class EventPage(Struct, frozen=True):
    """A page of CloudEvents in `seq` order.

    `next_cursor` is the `after` of the next page, `<epoch>:<seq>`; null at the end.
    """

    items: list[dict[str, Any]]
    next_cursor: str | None


OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.TEAM_EVENTS,
        id="readEvents",
        summary="Read a team's events, once or for ever",
        tag="Live feeds",
        description=(
            "With `Accept: text/event-stream` an endless stream of Server-Sent Events that resumes after "
            "`Last-Event-ID` (which wins) or `after`; else one page of CloudEvents. Between events come `heartbeat`, "
            "`reset` and, without an id, `notice`: how far an operation of your own is."
        ),
        parameters=(
            Parameter(
                name="after",
                schema=POSITION_SCHEMA,
                description="Only events after this seq, written `<seq>` or `<epoch>:<seq>`.",
                example="41",
            ),
            Parameter(
                name="limit",
                schema={"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
                description="Most events in a page.",
            ),
            Parameter(
                name="Last-Event-ID",
                place="header",
                schema={"type": "string"},
                description="The last `id` that a stream got; sent by browsers themselves.",
            ),
        ),
        replies={
            200: Reply(
                description="CloudEvents, oldest first.",
                body=EventPage,
                headers=OF_TEAM,
                example=page(CHANGE),
                also={EVENT_STREAM.decode(): 'id: 1:117\nevent: task.updated\ndata: {"specversion":"1.0",…}\n\n'},
            )
        },
        problems=("not-found", "bad-input", "ahead-of-history", "history-rewritten", "too-many-at-once"),
        requires=in_team(READ),
    ),
)


def register(router: Router, services: Services) -> None:
    """Register the endpoint."""

    access = Access(services)

    async def events(request: Request) -> Response:
        call = call_of(request)
        query = query_of(request, FeedQuery)
        if not 1 <= query.limit <= 100:
            raise BadInput("The limit must be from 1 to 100.", parameter="limit")
        view = await access.team(call, call.values["team_id"])
        if call.method == "GET" and accept.names(call.headers.get(b"accept", b""), EVENT_STREAM):
            return await _open_stream(services, request, _place(call, query))
        return await _page(services, call, view, query)

    router.add_get(pattern(paths.TEAM_EVENTS), events)


def _place(call: Call, query: FeedQuery) -> Position | None:
    last = call.headers.get(b"last-event-id")
    if last:
        return read_position(last.decode("latin-1"), "Last-Event-ID")
    return None if query.after is None else read_position(query.after, "after")


async def _page(services: Services, call: Call, view: TeamView, query: FeedQuery) -> Response:
    team_id: UUID = call.values["team_id"]
    place = read_position("0" if query.after is None else query.after, "after")
    epoch = view.epoch
    if place.epoch not in (None, epoch):
        # What is in memory may be of an epoch before that which the client has heard of.
        now = await _position(services, team_id)
        check_epoch(place, now)
        epoch = now.epoch
    rows = await readmodel.events_after(
        services.pools.api, call.principal().user_id, team_id, place.seq, query.limit + 1
    )
    if not rows and place.seq > (now := await _position(services, team_id)).seq:
        raise AheadOfHistory(place.seq, now.seq)
    if rows and rows[-1].epoch > epoch:
        # Restored since the team was looked at: what the client has read before may not have happened.
        now = await _position(services, team_id)
        raise HistoryRewritten(now.epoch, now.seq)
    shown, last = page_of(rows, query.limit)
    body = page_json(map(cloud_event, shown), None if last is None else f"{epoch}:{last.seq}")
    seq = max(call.seq, shown[-1].seq if shown else 0)
    return json(200, body, about_team(call.team, seq, epoch, (PRIVATE,)))


async def _position(services: Services, team_id: UUID) -> JournalPosition:
    return (await services.journal.position([team_id])).get(team_id) or JournalPosition(0)


async def _open_stream(services: Services, request: Request, after: Position | None) -> Response:
    call, hub = call_of(request), services.hub
    principal = call.principal()
    left = seconds_left(call.headers[b"authorization"], services.tokens, services.clock.now().timestamp())
    subscription = await hub.subscribe(call.values["team_id"], principal.user_id, after, address=call.client)
    subscription.guard = Lifetime(principal, left, hub.settings.connection_seconds, services.revocations.is_revoked)
    # Taken before the answer leaves: BlackSheep parts with the request's content then.
    receive: Receive = request.content.receive  # type: ignore[union-attr]
    stream = EventStream(subscription, hub.settings.heartbeat_seconds, receive, call)
    headers = about_team(call.team, subscription.head, subscription.epoch, STREAM_HEADERS)
    return Response(200, list(headers), StreamedContent(EVENT_STREAM, stream.parts))


class EventStream:
    """One reader's stream of ready frames."""

    def __init__(self, subscription: Subscription, heartbeat_seconds: float, receive: Receive, call: Call) -> None:
        self._call = call
        self._subscription = subscription
        self._heartbeat_seconds = heartbeat_seconds
        self._receive = receive

    async def parts(self) -> AsyncIterator[bytes]:
        """The chunks of the body, until the feed ends or the client leaves."""
        subscription = self._subscription
        request = asyncio.current_task()
        if request is not None:
            subscription.on_cut = lambda: _abandon(self._call, request)
        watching = asyncio.create_task(self._until_gone())
        try:
            with subscription:
                yield self._greeting()
                while True:
                    sendables = await subscription.next()
                    epoch = subscription.epoch  # A restore gives the team another one while it is read.
                    yield b"".join([item.sse(epoch) for item in sendables]) if sendables else self._heartbeat()
        except FeedEnded as ended:
            if ended.reason in {"restart", "unavailable", "expired"}:
                yield b'event: reconnect\n%sdata: {"seq":%d}\n\n' % (_retry(), subscription.seq)
        finally:
            watching.cancel()

    def _greeting(self) -> bytes:
        """A place to resume from even if nothing else arrives, unless a reset is still to be sent."""
        if not self._subscription.resetting:
            return _retry() + self._heartbeat()
        self._subscription.wake_at = time.monotonic() + self._heartbeat_seconds
        return _retry() + b"\n"

    def _heartbeat(self) -> bytes:
        subscription = self._subscription
        subscription.wake_at = time.monotonic() + self._heartbeat_seconds
        seq = subscription.seq
        return b'id: %d:%d\nevent: heartbeat\ndata: {"seq":%d}\n\n' % (subscription.epoch, seq, seq)

    async def _until_gone(self) -> None:
        """The server reports a lost client here and nowhere else: sending to it neither fails nor blocks."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._subscription.end("gone")


def _abandon(call: Call, request: "asyncio.Task[Any]") -> None:
    """Nothing else ends a send that the client does not take; the edge knows by `cut` that this is no failure."""
    call.cut = True
    request.cancel()


def _retry() -> bytes:
    return b"retry: %d\n" % random.randint(*RETRY_MS)  # noqa: S311 (spreads load, hides nothing)
