"""Sends what is due: claims deliveries, makes their attempts at once, and writes what came of them in batches.

Endpoints that fail of late have slots of their own, at most half of all: a thousand that hang leave the other half to
those that do not. Whatever is in hand when the process ends is claimed by another once its lease is over.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct, structs

from core.errors import StorageUnavailable
from core.webhooks import Outcome, verdict_of
from db.pool import Pool
from db.transaction import Writing, reading, writing
from db.webhooks import claiming
from db.webhooks.claiming import Claimed, Settled, Told
from db.webhooks.naming import Known, names_in
from db.webhooks.secrets import WebhookSecrets
from streams.kafka.broker import Backoff
from streams.webhooks.bodies import body_of
from streams.webhooks.chat import read_event, things_named
from streams.webhooks.client import WebhookClient
from streams.webhooks.signing import headers_of

__all__ = ["SenderStatistics", "Tell", "WebhookSender"]

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
LEASE_SECONDS: Final = 45.0
"""An attempt ends within 15 s, and what came of it is written soon afterwards."""
CLAIM_AT_ONCE: Final = 64
SETTLE_AT_ONCE: Final = 128
STOP_SECONDS: Final = 3.0
LAST_WORDS_SECONDS: Final = 1.0

Tell = Callable[[Writing, Told], Awaitable[None]]
"""Tells the admins of a team about an endpoint, in the transaction in which it came to be so."""


class SenderStatistics(Struct, frozen=True):
    """Counted since the start: attempts that were `delivered`, that `failed`, were `throttled` or found their endpoint
    `gone`, and deliveries that had `expired`. `busy` attempts are on their way."""

    delivered: int = 0
    failed: int = 0
    throttled: int = 0
    gone: int = 0
    expired: int = 0
    busy: int = 0
    ready: bool = False


class WebhookSender:
    """Sends deliveries until stopped. Any number of them may run at once, in any processes.

    `site` is the address of the board, to which messages for chats lead.
    `ahead` says how many seconds the database's clock is behind the one that is meant: tests move it.
    """

    name = "deliveries"

    def __init__(
        self,
        pool: Pool,
        client: WebhookClient,
        secrets: WebhookSecrets,
        tell: Tell,
        *,
        at_once: int = 256,
        per_endpoint: int = 8,
        lease: float = LEASE_SECONDS,
        site: str = "",
        ahead: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._pool, self._client, self._secrets, self._tell = pool, client, secrets, tell
        self._at_once, self._per_endpoint, self._lease, self._ahead = at_once, per_endpoint, lease, ahead
        self._site = site
        self._stopping, self._awake, self._ended = anyio.Event(), anyio.Event(), anyio.Event()
        self._in_hand: dict[bool, dict[object, Claimed]] = {False: {}, True: {}}
        self._settled: list[Settled] = []
        self._statistics = SenderStatistics()

    @property
    def ready(self) -> bool:
        """Whether the database answered lately."""
        return self._statistics.ready

    def statistics(self) -> SenderStatistics:
        return structs.replace(self._statistics, busy=sum(map(len, self._in_hand.values())))

    def wake(self) -> None:
        """There may be something to send."""
        self._awake.set()
        self._awake = anyio.Event()

    def stop(self) -> None:
        """Finish the attempts in hand, as far as they end soon, and return from `run`."""
        self._stopping.set()
        self.wake()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Send until stopped; a database that is down is waited for."""
        async with anyio.create_task_group() as settling:
            settling.start_soon(self._settle_always)
            async with anyio.create_task_group() as attempts:
                task_status.started()
                await self._claim_always(attempts)
                attempts.cancel_scope.deadline = anyio.current_time() + STOP_SECONDS
            settling.cancel_scope.cancel()
        with anyio.move_on_after(LAST_WORDS_SECONDS, shield=True):
            await self._say_last_words()
        self._statistics = structs.replace(self._statistics, ready=False)

    async def _claim_always(self, attempts: TaskGroup) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            awake = self._awake
            try:
                claimed = await self._claim_some(attempts)
            except StorageUnavailable as error:
                logger.warning("webhooks wait: %s", error)
                self._statistics = structs.replace(self._statistics, ready=False)
                await backoff.wait()
                continue
            self._statistics = structs.replace(self._statistics, ready=True)
            backoff.reset()
            if not claimed:
                with anyio.move_on_after(LOOK_SECONDS):
                    await awake.wait()

    async def _claim_some(self, attempts: TaskGroup) -> int:
        """Claim what there are slots for, and begin the attempts; how many."""
        async with writing(self._pool) as tx:
            claimed = [(one, failing) for failing in (False, True) for one in await self._claim(tx, failing=failing)]
        for one, failing in claimed:
            self._in_hand[failing][one.claim] = one
            attempts.start_soon(self._attempt, one, failing)
        return len(claimed)

    async def _claim(self, tx: Writing, *, failing: bool) -> Sequence[Claimed]:
        room = self._room(failing=failing)
        if room <= 0:
            return ()
        return await claiming.claim(
            tx,
            failing=failing,
            limit=min(room, CLAIM_AT_ONCE),
            per_endpoint=self._per_endpoint,
            lease=self._lease,
            ahead=self._ahead(),
        )

    def _room(self, *, failing: bool) -> int:
        room = self._at_once - sum(map(len, self._in_hand.values()))
        return min(room, self._at_once // 2 - len(self._in_hand[True])) if failing else room

    async def _attempt(self, claimed: Claimed, failing: bool) -> None:
        try:
            outcome = await self._outcome(claimed)
        except Exception:
            # A delivery that cannot be made is one of many: it fails like another, and the log says why.
            logger.exception("delivery %s could not be made", claimed.id)
            outcome = Outcome(error="internal")
        del self._in_hand[failing][claimed.claim]
        self._count(outcome)
        self._settled.append(Settled(claimed, outcome))
        self._ended.set()

    async def _outcome(self, claimed: Claimed) -> Outcome | None:
        """What comes of the attempt; None when the event is too old for one."""
        if claimed.expired and not claimed.is_test:
            return None
        if claimed.row is None and not claimed.is_test:
            return Outcome(error="history-rewritten")
        secrets = self._secrets_of(claimed)
        if not secrets:
            logger.error("the secret of webhook %s was sealed under a key that is gone", claimed.endpoint.id)
            return Outcome(error="secret-lost")
        body = body_of(claimed, await self._names(claimed), self._site)
        now = datetime.now(UTC) + timedelta(seconds=self._ahead())
        headers = headers_of(claimed, secrets, body.content, body.media_type, now)
        return await self._client.post(claimed.endpoint.url, headers, body.content)

    def _secrets_of(self, claimed: Claimed) -> Sequence[str]:
        endpoint = claimed.endpoint
        sealed = [endpoint.secret, *endpoint.previous_secrets]
        return [secret for one in sealed if (secret := self._secrets.open(endpoint.id, one)) is not None]

    async def _names(self, claimed: Claimed) -> Known | None:
        """The names that a chat's line needs. While the database is away, it goes without."""
        if claimed.endpoint.format != "slack" or claimed.row is None:
            return None
        wanted = things_named(claimed.row, read_event(claimed.row))
        try:
            async with reading(self._pool, None) as tx:
                return await names_in(tx, claimed.row.team_id, wanted)
        except StorageUnavailable as error:
            logger.warning("a webhook goes without names: %s", error)
            return None

    async def _settle_always(self) -> None:
        backoff = Backoff()
        while True:
            if not self._settled:
                self._ended = anyio.Event()
                await self._ended.wait()
            try:
                await self._settle()
                backoff.reset()
            except StorageUnavailable as error:
                logger.warning("what came of webhooks waits to be written: %s", error)
                await backoff.wait()

    async def _settle(self) -> None:
        """Write what came of attempts, and tell whom it concerns; both or neither."""
        batch = self._settled[:SETTLE_AT_ONCE]
        async with writing(self._pool) as tx:
            for told in await claiming.settle(tx, batch, ahead=self._ahead()):
                logger.warning("webhook %s of team %s: %s", told.subscription_id, told.team_id, told.notice)
                await self._tell(tx, told)
        del self._settled[: len(batch)]
        self.wake()

    async def _say_last_words(self) -> None:
        """Write what is not written yet, and give back what was cut off: nobody has to wait for leases."""
        with suppress(StorageUnavailable):  # Then the leases run out, and the attempts are made again.
            while self._settled:
                await self._settle()
            cut_off = [one for lane in self._in_hand.values() for one in lane.values()]
            if cut_off:
                async with writing(self._pool) as tx:
                    await claiming.give_back(tx, cut_off)

    def _count(self, outcome: Outcome | None) -> None:
        name = "expired" if outcome is None else verdict_of(outcome)
        self._statistics = structs.replace(self._statistics, **{name: getattr(self._statistics, name) + 1})
