"""Forgets what has served its time, an hour after an hour: the list below is all that is tidied."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
from msgspec import Struct

from core.errors import StorageUnavailable
from db.dead_letters import forget_old_replays
from db.idempotency import forget_old_keys
from db.inbox import forget_applied
from db.object_store import ObjectStore, ObjectStoreUnavailable
from db.objects import forget_expired_objects
from db.operations import forget_ended_operations
from db.outbox_sent import forget_sent
from db.past.snapshots import forget_expired
from db.people.account_tokens import forget_account_tokens
from db.people.api_keys import forget_ended_keys
from db.people.ended_sessions import forget_ended_sessions
from db.people.external_sign_ins import forget_external_sign_ins
from db.people.invitations import forget_expired_invitations
from db.people.team_places import forget_left_places
from db.people.tickets import forget_unused_tickets
from db.pool import Pool
from db.schedules import forget_marks
from db.webhooks.keeping import forget_old_deliveries
from streams.consumers import mail, thumbnails
from streams.scratch import sweep

__all__ = ["Housekeeper", "HousekeepingStatistics", "tidy"]

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 3600.0

# What goes, and how; each deletes in slices and says how many. The times are theirs, from half a minute to 30 days.
CHORES: Final[Mapping[str, Callable[[Pool], Awaitable[int]]]] = {
    "stored answers": forget_old_keys,
    "marks of applied events": forget_applied,
    "sessions that ended": forget_ended_sessions,
    "API keys that ended": forget_ended_keys,
    "sign-ins by other issuers": forget_external_sign_ins,
    "tokens from mails": forget_account_tokens,
    "live tickets nobody used": forget_unused_tickets,
    "invitations that expired": forget_expired_invitations,
    "operations that ended": forget_ended_operations,
    "places of teams that were not made": forget_left_places,
    "deliveries of webhooks": forget_old_deliveries,
    "marks of schedules": forget_marks,
    "replays of dead letters": forget_old_replays,
    "what left the outbox": partial(forget_sent, consumers=(mail.NAME, thumbnails.NAME)),
}


FOLDERS: Final = "folders of workers that were killed"
"""On this machine: the first tidying comes with the start of a worker."""
OBJECTS: Final = "objects that expired"
"""What goes from the object store too, and first from there."""


class HousekeepingStatistics(Struct, frozen=True):
    """How many rows, objects or folders each chore has deleted since the start."""

    forgotten: Mapping[str, int]


class Housekeeper:
    """Tidies at once and then every hour. Several workers may do so at once: deleting twice deletes once."""

    def __init__(self, pool: Pool, store: ObjectStore | None = None, every_seconds: float = EVERY_SECONDS) -> None:
        self._pool, self._store, self._every_seconds = pool, store, every_seconds
        self._forgotten = dict.fromkeys((*CHORES, OBJECTS, FOLDERS), 0)

    def statistics(self) -> HousekeepingStatistics:
        return HousekeepingStatistics(dict(self._forgotten))

    async def run(self) -> None:
        """Run until cancelled; a database that is down is waited for."""
        while True:
            try:
                for name, rows in (await tidy(self._pool, self._store)).items():
                    self._forgotten[name] += rows
            except StorageUnavailable as error:
                logger.warning("tidying waits for the database: %s", error)
            await anyio.sleep(self._every_seconds)


async def tidy(pool: Pool, store: ObjectStore | None = None) -> Mapping[str, int]:
    """Do every chore once; how many rows, objects or folders each has deleted. Raises StorageUnavailable."""
    # First, as it needs no database.
    done = {FOLDERS: await anyio.to_thread.run_sync(sweep)}
    done |= {name: await forget(pool) for name, forget in CHORES.items()}
    done[OBJECTS] = await _forget_objects(pool, store)
    if any(done.values()):
        logger.info("forgot %s", ", ".join(f"{number} {name}" for name, number in done.items() if number))
    return done


async def _forget_objects(pool: Pool, store: ObjectStore | None) -> int:
    """A store that is away keeps nothing else from being tidied."""
    try:
        return await forget_expired_objects(pool, store) + await forget_expired(pool, store)
    except ObjectStoreUnavailable as error:
        logger.warning("expired objects stay for now: %s", error)
        return 0
