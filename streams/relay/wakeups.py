"""Wake-ups for the relay over Valkey: bare ids of teams that committed. At most once; the sweep sees the rest."""

import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from valkey.asyncio import Valkey

from db.valkey import QuietLog, ValkeyUnavailable, valkey_errors
from streams.feeds.remote import COMMITTED_CHANNEL
from streams.kafka.broker import Backoff

__all__ = ["listen"]

logger = logging.getLogger(__name__)

WAIT_SECONDS: Final = 1.0


async def listen(valkey: Valkey, wake: Callable[[UUID], None], missed: Callable[[], None]) -> None:
    """Call `wake` for each team that committed, and `missed` whenever wake-ups may have been lost; until cancelled."""
    quiet = QuietLog(logger)
    backoff = Backoff(last=5.0)
    while True:
        try:
            await _subscribed(valkey, wake, missed, backoff)
        except ValkeyUnavailable as error:
            quiet.warning("no wake-ups from Valkey, sweeping only: %s", error)
            await backoff.wait()
            missed()


async def _subscribed(
    valkey: Valkey, wake: Callable[[UUID], None], missed: Callable[[], None], backoff: Backoff
) -> None:
    with valkey_errors():
        async with valkey.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(COMMITTED_CHANNEL)
            missed()
            backoff.reset()
            while True:
                message = await channel.get_message(timeout=WAIT_SECONDS)
                if message is not None:
                    _wake(message["data"], wake)


def _wake(data: bytes | str, wake: Callable[[UUID], None]) -> None:
    text = data if isinstance(data, str) else data.decode("ascii", "replace")
    for word in text.split():
        try:
            team_id = UUID(word)
        except ValueError:
            logger.warning("a wake-up that is no team id was ignored")
        else:
            wake(team_id)
