"""What a PATCH costs before anything is decided: our edge with a group commit of constant journal rows behind it.

No actor, no fence, no task row, no feed: a request is authenticated, routed and read, waits until a row of its own is
durable together with those of all others, and is answered with constant bytes. No team logic can be faster than that.
"""

import asyncio
from typing import Final

from blacksheep import Content, Request, Response

from api.binding import MERGE_PATCH, body_of, decoder_for, path_value
from api.calls import call_of
from api.services import Services
from benchmarks.edge import Handler, OnOurEdge
from core.task import TaskPatch
from db.journal.sticky import StickyConnection
from db.pool import ACQUIRE_SECONDS, Pool

__all__ = ["app"]

INSERT: Final = """
insert into task_events (team_id, seq, type, subject_id, actor_id, payload, at, salt, digest)
select uuidv7(), 1, 'floor', uuidv7(), uuidv7(), payload, now(), $2, $3 from unnest($1::text[]) as e (payload)
"""
TASK: Final = '{"id":"%s"}' % ("x" * 600)
HEADERS: Final = [(b"etag", b'"12"'), (b"taskforge-team", b"0" * 36), (b"taskforge-seq", b"12")]


class _ConstantRows:
    """Commits whatever waits as one statement, and then what has come meanwhile."""

    def __init__(self, pool: Pool) -> None:
        self._sticky = StickyConnection(pool, ACQUIRE_SECONDS)
        self._waiting: list[asyncio.Future[None]] = []
        self._busy: asyncio.Task[None] | None = None

    def add(self) -> asyncio.Future[None]:
        """Done when the row is durable."""
        row: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(row)
        if self._busy is None:
            self._busy = asyncio.create_task(self._commit())
        return row

    async def _commit(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            async with self._sticky as connection:
                await connection.fetch(INSERT, [TASK] * len(batch), bytes(16), bytes(32))
            for row in batch:
                row.set_result(None)
        self._busy = None


def _patching(services: Services) -> Handler:
    rows, decoder = _ConstantRows(services.pools.writer), decoder_for(TaskPatch)

    async def patch_task(request: Request) -> Response:
        call_of(request).principal()
        await body_of(request, decoder, *MERGE_PATCH)
        path_value(request, "task_id")
        await rows.add()
        return Response(200, HEADERS, Content(b"application/json", TASK.encode()))

    return patch_task


app = OnOurEdge(_patching)
