"""A change that one transaction makes: run under the request's idempotency key, if it has one, or answered from it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

from blacksheep import Response

from api.answers import Answer, replay
from api.asks import ask_of
from api.calls import Call
from api.problems import problem_answer
from core.writes import StoredReply
from db.idempotency import replay_or_run
from db.pool import Pool
from db.sealed_replies import SealedReplies
from db.transaction import Writing

__all__ = ["Run", "once"]

Run = Callable[[Writing], Awaitable[Answer]]


async def once(
    pool: Pool,
    call: Call,
    run: Run,
    *,
    refusals: bool = False,
    sealed: SealedReplies | None = None,
    turn: asyncio.Lock | None = None,
) -> Response:
    """The answer of `run`, or the one that its key had before. `refusals`: they are kept under the key, too.

    With `sealed` the answer holds a secret, and is kept so that only the asker can open it. A `turn` (`turns.py`) is
    waited for once the body has come, and before a connection is taken.
    """

    async def stored(tx: Writing) -> StoredReply:
        return (await run(tx)).stored(call.seq)

    render = (lambda error: problem_answer(error).stored(call.seq)) if refusals else None
    ask = await ask_of(call)
    async with turn or nullcontext():
        ran = await replay_or_run(pool, ask, stored, render=render, sealed=sealed)
    return replay(ran.reply, replayed=ran.replayed).response()
