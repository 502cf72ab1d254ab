"""Webhooks: admins of a team say who is sent what."""

from typing import Final
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import UNSET, UnsetType

from api import paths
from api.answers import NO_STORE, Answer, encode, json
from api.binding import MERGE_PATCH, body_of, decoder_for, no_query, path_value, query_of
from api.calls import call_of
from api.endpoints.webhook_docs import SUBSCRIPTIONS as OPERATIONS
from api.paging import WEBHOOKS, PageQuery, page_of
from api.paths import link, pattern
from api.services import Services
from api.used_keys import UsedKeys
from api.webhook_shapes import NewSubscription, SubscriptionPage, SubscriptionPatch
from api.webhooks import WebhookDesk, about, changing, check_wanted, shown_subscription
from core.webhooks import Filter
from db.ids import new_id
from db.transaction import Writing, reading
from db.webhooks.subscriptions import (
    Subscription,
    Wanted,
    change_subscription,
    create_subscription,
    delete_subscription,
    hold_subscription,
    list_subscriptions,
    rotate_secret,
)

__all__ = ["OPERATIONS", "register"]

_ANY: Final = Filter()


class SubscriptionsQuery(PageQuery, frozen=True, kw_only=True):
    """`team_id`: whose."""

    team_id: UUID


class Webhooks:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services) -> None:
        self._desk, self._pool = WebhookDesk(services), services.pools.api
        self._secrets, self._most = services.webhook_secrets, services.quotas.webhooks_per_team
        self._new, self._patch = decoder_for(NewSubscription), decoder_for(SubscriptionPatch)

    async def create(self, request: Request) -> Response:
        """POST /v1/webhooks/subscriptions. The secret is in this answer, and never again."""
        call = changing(request)
        user_id = call.principal().user_id
        new = await body_of(request, self._new)
        view, wanted = await self._desk.team(call, new.team_id), _wanted(new)
        self._desk.check_url(new.url)
        check_wanted(view, wanted, _ANY)

        async def run(tx: Writing) -> Answer:
            subscription_id = new_id()
            secret, sealed = self._secrets.new(subscription_id)
            made = await create_subscription(tx, subscription_id, new.team_id, user_id, wanted, sealed, most=self._most)
            location = (b"location", link(paths.WEBHOOK, made.id))
            return Answer(201, encode(shown_subscription(made, secret)), about(call, NO_STORE, location))

        return await self._desk.once(call, run, secret=True)

    async def list(self, request: Request) -> Response:
        """GET /v1/webhooks/subscriptions."""
        call = call_of(request)
        user_id, query = call.principal().user_id, query_of(request, SubscriptionsQuery)
        before = None if query.cursor is None else WEBHOOKS.read(query.cursor)
        await self._desk.team(call, query.team_id)
        async with reading(self._pool, user_id) as tx:
            found = await list_subscriptions(tx, query.team_id, before=before, limit=query.limit + 1)
        visible, last = page_of(found, query.limit)
        page = SubscriptionPage(
            tuple(map(shown_subscription, visible)), None if last is None else WEBHOOKS.write(last.id)
        )
        return json(200, page, about(call))

    async def show(self, request: Request) -> Response:
        """GET /v1/webhooks/subscriptions/{subscription_id}."""
        call = call_of(request)
        call.principal()
        no_query(call)
        found = await self._desk.subscription(call, path_value(request, "subscription_id"))
        return json(200, shown_subscription(found), about(call))

    async def update(self, request: Request) -> Response:
        """PATCH /v1/webhooks/subscriptions/{subscription_id}."""
        call = changing(request)
        found, view = await self._desk.subscription_in(call, path_value(request, "subscription_id"))
        patch = await body_of(request, self._patch, *MERGE_PATCH)
        if patch.url is not UNSET:
            self._desk.check_url(patch.url)
        if patch.event_types is not UNSET or patch.filter is not UNSET:
            check_wanted(view, _patched(found, patch), found.filter)

        async def run(tx: Writing) -> Answer:
            held = await hold_subscription(tx, found.id)
            enabled = None if patch.enabled is UNSET else patch.enabled
            changed = await change_subscription(tx, held, _patched(held, patch), enabled=enabled)
            return Answer(200, encode(shown_subscription(changed)), about(call))

        return await self._desk.once(call, run)

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/webhooks/subscriptions/{subscription_id}."""
        call = changing(request)
        found = await self._desk.subscription(call, path_value(request, "subscription_id"))

        async def run(tx: Writing) -> Answer:
            await delete_subscription(tx, found.id)
            return Answer(204, b"", about(call), b"")

        return await self._desk.once(call, run)

    async def rotate(self, request: Request) -> Response:
        """POST /v1/webhooks/subscriptions/{subscription_id}/rotate-secret: 200 with the new secret, shown once."""
        call = changing(request)
        found = await self._desk.subscription(call, path_value(request, "subscription_id"))

        async def run(tx: Writing) -> Answer:
            held = await hold_subscription(tx, found.id)
            secret, sealed = self._secrets.new(held.id)
            rotated = await rotate_secret(tx, held, sealed)
            return Answer(200, encode(shown_subscription(rotated, secret)), about(call, NO_STORE))

        return await self._desk.once(call, run, secret=True)


def _wanted(new: NewSubscription) -> Wanted:
    return Wanted(
        url=new.url,
        description=new.description,
        event_types=new.event_types,
        filter=new.filter or _ANY,
        format=new.format,
        in_order=new.in_order,
    )


def _patched(held: Subscription, patch: SubscriptionPatch) -> Wanted:
    """What is held, with what the patch names in its place. A filter is replaced as a whole; null asks for nothing."""
    wanted = held.filter if isinstance(patch.filter, UnsetType) else patch.filter or _ANY
    return Wanted(
        url=held.url if patch.url is UNSET else patch.url,
        description=held.description if patch.description is UNSET else patch.description,
        event_types=held.event_types if patch.event_types is UNSET else patch.event_types,
        filter=wanted,
        format=held.format if patch.format is UNSET else patch.format,
        in_order=held.in_order if patch.in_order is UNSET else patch.in_order,
    )


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    webhooks, keyed = Webhooks(services), UsedKeys(services).around
    router.add_post(pattern(paths.WEBHOOKS), keyed(webhooks.create))
    router.add_get(pattern(paths.WEBHOOKS), webhooks.list)
    router.add_get(pattern(paths.WEBHOOK), webhooks.show)
    router.add_patch(pattern(paths.WEBHOOK), keyed(webhooks.update))
    router.add_delete(pattern(paths.WEBHOOK), keyed(webhooks.delete))
    router.add_post(pattern(paths.WEBHOOK_ROTATE), keyed(webhooks.rotate))
