"""Webhooks under test: a team whose admin subscribes, events that happen, and a sender whose clock a test moves."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import anyio
import uuid_utils.compat as uuids
from msgspec import Struct, structs

from core.codec import JournalRow
from core.events import AnyEvent
from core.secret import Secret
from core.webhooks import Filter
from db.ids import new_id
from db.keyset import Keyset
from db.pool import Pools
from db.transaction import Writing, reading, writing
from db.webhooks.claiming import Told
from db.webhooks.deliveries import Attempt, Delivery, attempts_of, list_deliveries
from db.webhooks.secrets import WebhookSecrets
from db.webhooks.subscriptions import Subscription, Wanted, create_subscription, find_subscription
from streams.consumers.webhooks import NAME, webhook_projection
from streams.webhooks.client import WebhookClient
from streams.webhooks.sender import WebhookSender
from streams.webhooks.telling import tell_managers
from streams.webhooks.urls import Rules
from tests.support.journal_writer import JournalWriter, a_task, created
from tests.support.waiting import until_answered

__all__ = ["LOCAL", "SITE", "Hook", "Hooks"]

LOCAL = Rules(loopback=True)
SITE = "https://board.example.com"


class Hook(Struct, frozen=True):
    """A subscription and its secret."""

    id: UUID
    secret: str


class Hooks:
    """One team, its subscriptions, and what becomes of its events. `ahead` moves every clock but the journal's."""

    def __init__(self, pools: Pools, journal: JournalWriter) -> None:
        self.pools, self.journal = pools, journal
        self.secrets = WebhookSecrets(Keyset([Secret("a secret of at least thirty-two bytes")]))
        self.team_id = self.admin = UUID(int=0)
        self.ahead = 0.0
        self.told: list[Told] = []
        self.project = webhook_projection(pools.worker, lambda: None)

    async def open(self) -> "Hooks":
        self.team_id = await self.journal.team()
        self.admin = await self.journal.member(self.team_id, uuids.uuid7())
        await self.journal.pool.execute(
            "update memberships set role = 'admin' where team_id = $1 and user_id = $2", self.team_id, self.admin
        )
        await self.happen()
        return self

    async def subscribe(self, url: str, **wanted: Any) -> Hook:
        hook_id = new_id()
        secret, sealed = self.secrets.new(hook_id)
        fields = {"description": "", "event_types": (), "filter": Filter(), "format": "cloudevents", "in_order": False}
        async with writing(self.pools.api, self.admin) as tx:
            await create_subscription(
                tx, hook_id, self.team_id, self.admin, Wanted(url=url, **{**fields, **wanted}), sealed, most=1_000
            )
        return Hook(hook_id, secret)

    async def happen(self, *events: AnyEvent, count: int = 1, **fields: Any) -> list[JournalRow]:
        """Events after the team's last one, now: these in turn, or so many tasks that are created."""
        head = await self.journal.head(self.team_id)
        made = list(events) or [
            created(a_task(self.team_id, head + n, **fields), head + n) for n in range(1, count + 1)
        ]
        made = [structs.replace(event, at=datetime.now(UTC), seq=head + n) for n, event in enumerate(made, start=1)]
        return [one.row for one in await self.journal.commit(made)]

    async def projected(self, *rows: JournalRow) -> list[str]:
        return [await self.project(NAME, row) for row in rows]

    async def sent(self, *rows: JournalRow) -> None:
        """Events that have happened become deliveries."""
        await self.projected(*(rows or await self.happen()))

    def sender(self, client: WebhookClient | None = None, **options: Any) -> WebhookSender:
        client = client or WebhookClient(LOCAL, seconds=options.pop("seconds", 15.0))
        return WebhookSender(
            self.pools.worker, client, self.secrets, self._tell, ahead=lambda: self.ahead, **{"site": SITE, **options}
        )

    async def _tell(self, tx: Writing, told: Told) -> None:
        self.told.append(told)
        await tell_managers(tx, told)

    @asynccontextmanager
    async def sending(self, *, senders: int = 1, **options: Any) -> AsyncIterator[WebhookSender]:
        """Senders that run for as long as the block; the first of them."""
        made = [self.sender(**options) for _ in range(senders)]
        async with anyio.create_task_group() as group:
            for one in made:
                await group.start(one.run)
            try:
                yield made[0]
            finally:
                for one in made:
                    one.stop()

    async def deliveries(self, hook: Hook, status: Any = None) -> Sequence[Delivery]:
        """Newest first, as the admin sees them."""
        async with reading(self.pools.api, self.admin) as tx:
            of = await find_subscription(tx, hook.id)
            return await list_deliveries(tx, of, status=status, before=None, limit=100_000)

    async def attempts(self, delivery: Delivery) -> Sequence[Attempt]:
        async with reading(self.pools.api, self.admin) as tx:
            return await attempts_of(tx, delivery)

    async def found(self, hook: Hook) -> Subscription:
        async with reading(self.pools.api, self.admin) as tx:
            return await find_subscription(tx, hook.id)

    async def ended(self, hook: Hook, number: int = 1, seconds: float = 30.0) -> Sequence[Delivery]:
        """Once so many deliveries of the subscription have ended."""

        async def have() -> bool:
            return sum(one.ended_at is not None for one in await self.deliveries(hook)) >= number

        await until_answered(have, seconds)
        return [one for one in await self.deliveries(hook) if one.ended_at is not None]

    async def tried(self, hook: Hook, attempts: int, seconds: float = 30.0) -> Delivery:
        """The newest delivery once it has had so many attempts, and the last of them has ended."""

        async def have() -> bool:
            newest = (await self.deliveries(hook))[0]
            ended = newest.ended_at is not None or (newest.next_at is not None and not await self._claimed(newest))
            return newest.attempts >= attempts and ended

        await until_answered(have, seconds)
        return (await self.deliveries(hook))[0]

    async def _claimed(self, delivery: Delivery) -> bool:
        query = "select claim is not null from webhook_deliveries where id = $1"
        return bool(await self.journal.pool.fetchval(query, delivery.id))
