"""The delivery log of webhooks, and what is sent again from it."""

from datetime import datetime, timedelta

from blacksheep import Request, Response, Router
from msgspec import structs

from api import paths
from api.answers import Answer, encode, json
from api.binding import body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.endpoints.webhook_docs import DELIVERIES as OPERATIONS
from api.paging import DELIVERIES, PageQuery, page_of
from api.paths import link, pattern
from api.services import Services
from api.used_keys import UsedKeys
from api.webhook_shapes import AttemptAnswer, DeliveryDetail, DeliveryPage, Recovered, Recovery
from api.webhooks import WebhookDesk, about, changing, shown_delivery
from core.errors import BadInput
from core.webhooks import OLDEST
from db.transaction import Writing, reading
from db.webhooks.deliveries import (
    Delivery,
    DeliveryStatus,
    add_test,
    attempts_of,
    find_delivery,
    list_deliveries,
    recover,
    redeliver,
)
from db.webhooks.subscriptions import hold_subscription

__all__ = ["OPERATIONS", "register"]


class DeliveriesQuery(PageQuery, frozen=True, kw_only=True):
    """`status`: only these."""

    status: DeliveryStatus | None = None


class Deliveries:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services) -> None:
        self._desk, self._pool, self._clock = WebhookDesk(services), services.pools.api, services.clock
        self._recovery = decoder_for(Recovery)

    async def test(self, request: Request) -> Response:
        """POST /v1/webhooks/subscriptions/{subscription_id}/test: 202 with the delivery."""
        call = changing(request)
        found = await self._desk.subscription(call, path_value(request, "subscription_id"))

        async def run(tx: Writing) -> Answer:
            return _waits(call, await add_test(tx, await hold_subscription(tx, found.id)))

        return await self._desk.once(call, run)

    async def recover(self, request: Request) -> Response:
        """POST /v1/webhooks/subscriptions/{subscription_id}/recover: 202 with how many are sent now."""
        call = changing(request)
        found = await self._desk.subscription(call, path_value(request, "subscription_id"))
        asked = await body_of(request, self._recovery)
        self._check_since(asked.since)

        async def run(tx: Writing) -> Answer:
            recovered = await recover(tx, await hold_subscription(tx, found.id), asked.since, asked.status)
            return Answer(202, encode(Recovered(recovered)), about(call))

        return await self._desk.once(call, run)

    def _check_since(self, since: datetime) -> None:
        """Raise BadInput for a time that no event can be sent again from, a minute's difference of clocks aside."""
        ahead = since - self._clock.now()
        if ahead > timedelta(minutes=1):
            raise BadInput("It lies in the future: nothing has happened since then.", pointer="/since")
        if ahead < -OLDEST - timedelta(minutes=1):
            detail = "It is too long ago: events are sent again for at most 14 days after they happened."
            raise BadInput(detail, pointer="/since")

    async def list(self, request: Request) -> Response:
        """GET /v1/webhooks/subscriptions/{subscription_id}/deliveries."""
        call = call_of(request)
        user_id, query = call.principal().user_id, query_of(request, DeliveriesQuery)
        before = None if query.cursor is None else DELIVERIES.read(query.cursor)
        of = await self._desk.subscription(call, path_value(request, "subscription_id"))
        async with reading(self._pool, user_id) as tx:
            found = await list_deliveries(tx, of, status=query.status, before=before, limit=query.limit + 1)
        visible, last = page_of(found, query.limit)
        page = DeliveryPage(tuple(map(shown_delivery, visible)), None if last is None else DELIVERIES.write(last.id))
        return json(200, page, about(call))

    async def show(self, request: Request) -> Response:
        """GET /v1/webhooks/deliveries/{delivery_id}."""
        call = call_of(request)
        user_id = call.principal().user_id
        no_query(call)
        found = await self._desk.delivery(call, path_value(request, "delivery_id"))
        async with reading(self._pool, user_id) as tx:
            attempts = await attempts_of(tx, found)
        shown = tuple(AttemptAnswer(**structs.asdict(one)) for one in attempts)
        return json(200, DeliveryDetail(attempts=shown, **structs.asdict(shown_delivery(found))), about(call))

    async def redeliver(self, request: Request) -> Response:
        """POST /v1/webhooks/deliveries/{delivery_id}/redeliver: 202 with the delivery."""
        call = changing(request)
        found = await self._desk.delivery(call, path_value(request, "delivery_id"))

        async def run(tx: Writing) -> Answer:
            held = await hold_subscription(tx, found.subscription_id)
            return _waits(call, await redeliver(tx, held, await find_delivery(tx, found.id)))

        return await self._desk.once(call, run)


def _waits(call: Call, delivery: Delivery) -> Answer:
    location = (b"location", link(paths.DELIVERY, delivery.id))
    return Answer(202, encode(shown_delivery(delivery)), about(call, location))


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    deliveries, keyed = Deliveries(services), UsedKeys(services).around
    router.add_post(pattern(paths.WEBHOOK_TEST), keyed(deliveries.test))
    router.add_post(pattern(paths.WEBHOOK_RECOVER), keyed(deliveries.recover))
    router.add_get(pattern(paths.WEBHOOK_DELIVERIES), deliveries.list)
    router.add_get(pattern(paths.DELIVERY), deliveries.show)
    router.add_post(pattern(paths.DELIVERY_REDELIVER), keyed(deliveries.redeliver))
