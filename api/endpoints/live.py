"""`WS /v1/teams/{team_id}/live`; the tickets that let a browser open it are in `live_tickets.py`.

Server frames: `hello {seq, epoch, you}`, `event {seq, event}`, `heartbeat {seq}`, `reset {reason, seq, epoch,
snapshot}`, `notice {operation}` and `error {code, detail, ref?}`. Client frames: `auth {token}` goes on under a fresh
token (a heartbeat confirms it).
Close codes: 4401 not or no longer authenticated, 4403 not or no longer a member, 4008 too slow, 1012 come again,
1013 too many feeds are open (after an `error` that names the limit), 1008 malformed request; for frames 1003 for what
is no text, 1009 for more than 64 Ki characters, 1002 for what RFC 6455 does not allow. Granian reads the frames and
does not tell us why it could not, so that text which is no UTF-8 (1007) and more than 16 MiB (1009) are 1002 as well.
"""

import asyncio
import time
from collections import deque
from typing import Any, Final
from uuid import UUID

import msgspec
from blacksheep import Request, Response, Router, WebSocket
from blacksheep.server.websocket import WebSocketDisconnectError, WebSocketError
from msgspec import Struct

from api import paths
from api.auth.bearer import authenticate
from api.auth.lifetimes import Lifetime, origin_allowed, seconds_left
from api.binding import read_query
from api.openapi import Operation, Parameter, Reply
from api.paths import pattern
from api.problems import UpgradeRequired
from api.request_ids import REQUEST, Handshake
from api.services import Services
from core.errors import BadInput, Conflict, NotFound, TaskForgeError, TooManyAtOnce, Unauthenticated, Unavailable
from core.principal import Principal
from core.rights import READ, in_team
from core.seq import read_position
from db import readmodel
from streams.feeds.channel import EndReason
from streams.feeds.subscription import FeedEnded, Subscription

__all__ = ["OPERATIONS", "register"]

AUTH: Final = 4401
REMOVED: Final = 4403
SLOW: Final = 4008
RESTART: Final = 1012
TRY_LATER: Final = 1013
MALFORMED: Final = 1008
PROTOCOL: Final = 1002
NOT_TEXT: Final = 1003
TOO_BIG: Final = 1009
REASONS: Final = {
    AUTH: "authenticate again",
    REMOVED: "not a member of this team",
    SLOW: "too slow, resume",
    RESTART: "connect again",
    TRY_LATER: "too many feeds, try again later",
    MALFORMED: "malformed request",
    PROTOCOL: "not a frame of RFC 6455",
    NOT_TEXT: "frames are text",
    TOO_BIG: "the frame is too long",
}
NO_CODE: Final = 1005
"""What Granian says of a close frame without a code, of a connection that is gone, and of what it could not read."""
CODES: Final[dict[EndReason, int]] = {
    "removed": REMOVED,
    "revoked": AUTH,
    "expired": AUTH,
    "slow": SLOW,
    "restart": RESTART,
    "unavailable": RESTART,
}
CLOSE_SECONDS: Final = 1.0
CLIENT_FRAME_CHARS: Final = 64 * 1024
OUTBOX_FRAMES: Final = 64


class LiveQuery(Struct, frozen=True, kw_only=True):
    """`after` is a seq or `<epoch>:<seq>`."""

    after: str | None = None
    ticket: str | None = None


class ClientFrame(Struct):
    """Anything a client may send; further fields belong to frames that are not served yet."""

    type: str
    token: str = ""
    ref: str | int | None = None


OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.TEAM_LIVE,
        id="openLive",
        summary="Follow a team over a WebSocket",
        tag="Live feeds",
        description=(
            "RFC 6455 over HTTP/1.1. Frames are JSON: `hello`, `event`, `heartbeat`, `reset`, `notice` and `error` "
            "come, `auth` goes. A `notice` is about an operation of your own, has no `seq` and is never replayed. "
            "Closed with 1013 after an `error` that names the limit while too many feeds are open."
        ),
        parameters=(
            Parameter(
                name="after",
                schema={"type": "string", "pattern": r"^([0-9]{1,19}:)?[0-9]{1,19}$"},
                description="Only events after this seq, written `<seq>` or `<epoch>:<seq>`.",
                example="41",
            ),
            Parameter(name="ticket", schema={"type": "string"}, description="Instead of an Authorization header."),
        ),
        replies={101: Reply(description="The connection is a WebSocket now.")},
        problems=("upgrade-required",),
        secured=False,
        requires=in_team(READ),
    ),
)

_read_frame = msgspec.json.Decoder(ClientFrame).decode
_encode = msgspec.json.Encoder().encode


def register(router: Router, services: Services) -> None:
    """Register the endpoints."""
    http = services.http
    origins = [*http.allowed_origins, *((http.public_url,) if http.public_url else ())]

    async def not_a_socket(_: Request) -> Response:
        raise UpgradeRequired

    async def live(socket: WebSocket) -> None:
        if not origin_allowed(socket.get_first_header(b"origin"), socket.get_first_header(b"host"), origins):
            await socket.close()
            return
        await socket.accept()
        await LiveSocket(socket, services, UUID(socket.route_values["team_id"])).serve()

    router.add_ws(pattern(paths.TEAM_LIVE), live)
    router.add_get(pattern(paths.TEAM_LIVE), not_a_socket)


class LiveSocket:
    """One accepted socket, from authentication to its close code. A single task sends; another one receives."""

    def __init__(self, socket: WebSocket, services: Services, team_id: UUID) -> None:
        self._socket = socket
        self._services = services
        self._team_id = team_id
        self._outbox: deque[str] = deque()
        self._heartbeat_seconds = services.hub.settings.heartbeat_seconds
        self._due = 0.0
        self._refused: int | None = None
        """The close code that the client's frames deserve."""
        self._left = NO_CODE
        """The close code with which the client has left."""

    async def serve(self) -> None:
        """Serve until either side ends it, then say why in the close code."""
        try:
            async with asyncio.timeout(None) as patience:
                code = await self._session(patience)
        except TimeoutError:
            code = SLOW
        except WebSocketDisconnectError as gone:
            code, self._left = None, gone.code
        except WebSocketError:
            code = None
        if isinstance(handshake := REQUEST.get(None), Handshake):
            handshake.close = self._left if code is None else code
        if code is None and self._left == NO_CODE:
            code = PROTOCOL  # To whom has sent a close frame, or is gone, it does not matter any more.
        if code is not None:
            await self._close(code)

    async def _close(self, code: int) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code, REASONS[code])
        except (TimeoutError, WebSocketError):
            return

    async def _session(self, patience: asyncio.Timeout) -> int | None:
        """The close code, or None when the client has left."""
        try:
            query = read_query(self._socket.scope["query_string"], LiveQuery)
            after = None if query.after is None else read_position(query.after, "after")
            lifetime = await self._admit(query.ticket)
            await self._check_member(lifetime.principal)
            if isinstance(handshake := REQUEST.get(None), Handshake):
                handshake.team = str(self._team_id).encode()
            subscription = await self._services.hub.subscribe(
                self._team_id,
                lifetime.principal.user_id,
                after,
                address=self._services.addresses.of(self._socket.scope),
            )
        except (BadInput, TooManyAtOnce) as error:
            await self._socket.send_text(_error(error))
            return MALFORMED if isinstance(error, BadInput) else TRY_LATER
        except (Unauthenticated, Conflict):  # A conflict is of another issuer's token, which has no account to be.
            return AUTH
        except NotFound:
            return REMOVED
        except Unavailable:
            return RESTART
        with subscription:
            subscription.guard = lifetime
            subscription.on_cut = lambda: patience.reschedule(asyncio.get_running_loop().time())
            return await self._converse(subscription, lifetime)

    async def _admit(self, ticket: str | None) -> Lifetime:
        """Who connects, and for how long. Raises Unauthenticated, or Unavailable while tickets cannot be read."""
        services = self._services
        if ticket is not None:
            found = await services.tickets.redeem(ticket, self._team_id)
            if found is None or services.revocations.is_revoked(found.credential_id):
                raise Unauthenticated("The ticket is unknown, used or expired.")
            principal, seconds = found, float(services.auth.access_seconds)
        else:
            principal = await authenticate(self._socket, services)
            seconds = self._seconds_left(self._socket.get_single_header(b"authorization"))
        if isinstance(handshake := REQUEST.get(None), Handshake):
            handshake.user_id = principal.user_id
        return Lifetime(principal, seconds, services.hub.settings.connection_seconds, services.revocations.is_revoked)

    async def _check_member(self, principal: Principal) -> None:
        """Before a team is activated for anybody. Raises NotFound("team")."""
        services, user_id = self._services, principal.user_id
        if not principal.reaches(self._team_id):
            raise NotFound("team")
        view = services.teams.peek(self._team_id)
        if view is not None and user_id in view.state.members:
            return
        if await readmodel.team_position(services.pools.api, user_id, self._team_id) is None:
            raise NotFound("team")

    def _seconds_left(self, authorization: bytes) -> float:
        return seconds_left(authorization, self._services.tokens, self._services.clock.now().timestamp())

    async def _converse(self, subscription: Subscription, lifetime: Lifetime) -> int | None:
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive(subscription, lifetime))
            try:
                return await self._send_all(subscription)
            except WebSocketError:
                return self._refused
            finally:
                receiving.cancel()

    async def _send_all(self, subscription: Subscription) -> int | None:
        send, you = self._socket.send_text, subscription.user_id
        await send(f'{{"type":"hello","seq":{subscription.head},"epoch":{subscription.epoch},"you":"{you}"}}')
        self._rest(subscription)
        while True:
            try:
                sendables = await subscription.next()
            except FeedEnded as ended:
                return self._refused or CODES.get(ended.reason)
            for item in sendables:
                await send(item.ws(subscription.epoch))
            while self._outbox:
                await send(self._outbox.popleft())
            if time.monotonic() >= self._due:
                await send(f'{{"type":"heartbeat","seq":{subscription.seq}}}')
                self._rest(subscription)

    def _rest(self, subscription: Subscription) -> None:
        """A heartbeat is due so much later, whatever else is sent: it also says where the team stands."""
        self._due = subscription.wake_at = time.monotonic() + self._heartbeat_seconds

    async def _receive(self, subscription: Subscription, lifetime: Lifetime) -> None:
        try:
            while True:
                message: Any = await self._socket.receive()
                text: str | None = message.get("text")
                if text is None or len(text) > CLIENT_FRAME_CHARS:
                    self._refused = NOT_TEXT if text is None else TOO_BIG
                    subscription.end("gone")
                    return
                await self._hear(text, subscription, lifetime)
                if len(self._outbox) > OUTBOX_FRAMES:
                    subscription.end("slow")
        except WebSocketDisconnectError as gone:
            self._left = gone.code
            subscription.end("gone")
        except WebSocketError:
            subscription.end("gone")

    async def _hear(self, text: str, subscription: Subscription, lifetime: Lifetime) -> None:
        try:
            frame = _read_frame(text)
            if frame.type == "auth":
                await self._reauthenticate(frame.token, subscription, lifetime)
            else:
                self._refuse(frame)
        except Unauthenticated:
            subscription.end("revoked")
        except TaskForgeError as error:
            self._outbox.append(_error(error))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            self._outbox.append(_error(BadInput("The frame is not JSON of a known shape.")))
        subscription.wake()

    def _refuse(self, frame: ClientFrame) -> None:
        known = frame.type in {"command", "presence"}
        body = {
            "type": "error",
            "code": "unsupported" if known else "bad-input",
            "detail": "This frame is not served on this connection." if known else "There is no such frame.",
        }
        self._outbox.append(_encode(body if frame.ref is None else body | {"ref": frame.ref}).decode())

    async def _reauthenticate(self, token: str, subscription: Subscription, lifetime: Lifetime) -> None:
        """Go on under a new token or API key of the same user. Raises Unauthenticated for any other."""
        authorization = b"Bearer " + token.encode()
        await self._services.key_reader.read(authorization)
        principal = self._services.tokens.principal_of(authorization)
        if principal.user_id != subscription.user_id or not principal.reaches(self._team_id):
            raise Unauthenticated("The token is another user's, or for another team.")
        lifetime.renew(principal, self._seconds_left(authorization))
        self._due = 0.0


def _error(error: TaskForgeError) -> str:
    limit = {"quota": error.quota, "limit": error.limit} if isinstance(error, TooManyAtOnce) else {}
    return _encode({"type": "error", "code": error.code, "detail": error.detail, **limit}).decode()
