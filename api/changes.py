"""How an endpoint asks a team for a change: key, command, answer. Shared by everything that ends in an actor."""

from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

import msgspec
from blacksheep import Response

from actors.envelope import CommandResult
from api.access import Access
from api.answers import Answer, Header, about_team, replay
from api.binding import decode_body, raw_body
from api.calls import Call
from api.idempotency import fingerprint, key_of, slot_for
from api.services import Services
from core.commands import AnyCommand
from core.errors import BadInput, KeyReused, NotFound
from core.writes import StoredReply
from db.idempotency import find_key

__all__ = ["Changes"]

T = TypeVar("T")


class Changes:
    """Asks teams on behalf of calls."""

    def __init__(self, services: Services) -> None:
        self._teams = services.teams
        self._pool = services.pools.api
        self._locations = services.locations
        self._access = Access(services)

    async def read(
        self, call: Call, decoder: msgspec.json.Decoder[T], *media_types: str, stored: bool = True
    ) -> tuple[T, bytes]:
        """The decoded body and its bytes. A used key is reported before a wrong shape is: KeyReused, else BadInput.

        `stored` is False for a request whose answer is never stored: its key stands for nothing.
        """
        key = key_of(call)
        body = await raw_body(call, *media_types)
        try:
            return decode_body(body, decoder), body
        except BadInput:
            if key is not None and stored:
                await self._stored(call, key, body)
            raise

    async def locate(self, call: Call, task_id: UUID) -> UUID | Response:
        """The task's team; the stored answer when the task is gone since an earlier request with this key.

        Raises NotFound("task"), KeyReused, and as `Access.task` does.
        """
        key = key_of(call)
        try:
            team_id, _ = await self._access.task(call, task_id)
        except NotFound:
            stored = None if key is None else await self._replayed(call, key)
            if stored is None:
                raise
            return replay(stored).response()
        return team_id

    async def _replayed(self, call: Call, key: str) -> StoredReply | None:
        """The answer stored under the key, as long as the asker is still a member of the team it is about."""
        reply = await self._stored(call, key, await call.body())
        if reply is None:
            return None
        team = self._locations.hinted(dict(reply.headers).get("taskforge-team", "").encode())
        if team is None:
            return None
        await self._access.team(call, team)
        return reply

    async def _stored(self, call: Call, key: str, body: bytes) -> StoredReply | None:
        """What is stored under the key for this very request. Raises KeyReused when it stands for another one."""
        row = await find_key(self._pool, call.principal().user_id, key)
        if row is None:
            return None
        if row.fingerprint != fingerprint(call, body):
            raise KeyReused
        return row.reply

    async def ask(
        self, call: Call, team_id: UUID, command: AnyCommand, body: bytes, render: Callable[[CommandResult], Answer]
    ) -> Response:
        """Have the command decided and committed, and give the answer: a new one, or the stored one of its key."""
        slot = slot_for(call, body, render)
        result = await self._teams.ask(
            team_id, command, actor_id=call.principal().user_id, traceparent=call.traceparent, key=slot
        )
        if result.replayed is not None:
            return replay(result.replayed).response()
        return render(result).response()

    async def preview(
        self, call: Call, team_id: UUID, command: AnyCommand, render: Callable[[CommandResult], Answer]
    ) -> Response:
        """The answer that `ask` would give now; nothing is written or stored."""
        result = await self._teams.preview(team_id, command, actor_id=call.principal().user_id)
        return render(result).response()

    def headers(self, team_id: UUID, seq: int, more: Iterable[Header] = ()) -> tuple[Header, ...]:
        """What every answer to a change carries."""
        return about_team(self._locations.name(team_id), seq, more)
