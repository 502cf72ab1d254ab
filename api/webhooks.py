"""Webhooks at the edge: whose they are, how they are shown, and changes of them once per idempotency key."""

from uuid import UUID

from blacksheep import Request, Response
from msgspec import UNSET, structs

from actors.board import TeamView
from api.access import Access
from api.answers import Header, about_team
from api.binding import no_query
from api.calls import Call, call_of
from api.once import Run, once
from api.preconditions import refuse_if_match
from api.services import Services
from api.webhook_shapes import DeliveryAnswer, ShownFilter, SubscriptionAnswer
from core.codec import id_of_event
from core.errors import BadInput, Contradiction, InvalidReference, NotFound
from core.permissions import check_right
from core.rights import MANAGE_TEAM
from core.webhooks import TEST_TYPE, Filter, id_of_test, passes_no_event
from db.transaction import reading
from db.webhooks.deliveries import Delivery, find_delivery
from db.webhooks.subscriptions import Subscription, Wanted, find_subscription
from streams.webhooks.urls import NotAllowed, read_target

__all__ = ["WebhookDesk", "about", "changing", "check_wanted", "shown_delivery", "shown_subscription"]


class WebhookDesk:
    """What all endpoints of webhooks share over one set of services."""

    def __init__(self, services: Services) -> None:
        self._access, self._pool = Access(services), services.pools.api
        self._sealed, self._rules = services.sealed, services.webhook_rules

    async def team(self, call: Call, team_id: UUID) -> TeamView:
        """The team, for an admin of it. Raises NotFound("team"), Forbidden."""
        view, principal = await self._access.team(call, team_id), call.principal()
        check_right(view.role_of(principal.user_id), principal, MANAGE_TEAM)
        return view

    async def subscription(self, call: Call, subscription_id: UUID) -> Subscription:
        """The webhook, for an admin of its team. Raises NotFound("webhook"), Forbidden."""
        found, _ = await self.subscription_in(call, subscription_id)
        return found

    async def subscription_in(self, call: Call, subscription_id: UUID) -> tuple[Subscription, TeamView]:
        """The same with its team."""
        async with reading(self._pool, call.principal().user_id) as tx:
            found = await find_subscription(tx, subscription_id)
        return found, await self._check(call, found.team_id, "webhook")

    async def delivery(self, call: Call, delivery_id: UUID) -> Delivery:
        """The delivery, for an admin of its team. Raises NotFound("delivery"), Forbidden."""
        async with reading(self._pool, call.principal().user_id) as tx:
            found = await find_delivery(tx, delivery_id)
        await self._check(call, found.team_id, "delivery")
        return found

    async def _check(self, call: Call, team_id: UUID, what: str) -> TeamView:
        try:
            return await self.team(call, team_id)
        except NotFound:
            raise NotFound(what) from None

    def check_url(self, url: str) -> None:
        """Raise BadInput for a URL that nothing is sent to, with the same words for every host and port.

        A fragment is named: it is the writer's own, and says nothing of what is inside the network.
        """
        if "#" in url:
            raise BadInput("A URL of a webhook has no fragment: leave out what begins with #.", pointer="/url")
        try:
            read_target(url, self._rules)
        except NotAllowed as error:
            here = ", or to this machine itself by any port" if self._rules.loopback else ""
            detail = f"Webhooks are sent by https, on port 443, to hosts on the internet{here}."
            raise BadInput(detail, pointer="/url") from error

    async def once(self, call: Call, run: Run, *, secret: bool = False) -> Response:
        """Run a change under the request's idempotency key, if it has one. Refusals are not stored, secrets sealed."""

        return await once(self._pool, call, run, sealed=self._sealed if secret else None)


def changing(request: Request) -> Call:
    """The call of a change. Raises Unauthenticated, and BadInput for parameters and for an `If-Match`."""
    call = call_of(request)
    call.principal()
    no_query(call)
    refuse_if_match(call)
    return call


def check_wanted(view: TeamView, wanted: Wanted, before: Filter) -> None:
    """Refuse what can never be sent anything. What was in the filter before may stay, though it is gone by now.

    Raises Contradiction for types that no filter lets pass, and InvalidReference for a label or somebody not there.
    """
    if passes_no_event(wanted.event_types, wanted.filter):
        detail = "None of these events is about a task, so that none would pass the filter."
        raise Contradiction("/event_types", detail)
    for number, label_id in enumerate(wanted.filter.label):
        if label_id not in view.state.labels and label_id not in before.label:
            raise InvalidReference(f"/filter/label/{number}", "No such label in this team.")
    for number, user_id in enumerate(wanted.filter.assignee):
        if user_id not in view.state.members and user_id not in before.assignee:
            raise InvalidReference(f"/filter/assignee/{number}", "No such member of this team.")


def about(call: Call, *more: Header) -> tuple[Header, ...]:
    """The headers of an answer about a team's webhook."""
    return about_team(call.team, call.seq, call.epoch, more)


def shown_subscription(one: Subscription, secret: str | None = None) -> SubscriptionAnswer:
    """The webhook as admins see it."""
    return SubscriptionAnswer(
        id=one.id,
        team_id=one.team_id,
        url=one.url,
        event_types=one.event_types,
        filter=ShownFilter(status=one.filter.status, label=one.filter.label, assignee=one.filter.assignee),
        description=one.description,
        format=one.format,
        in_order=one.in_order,
        enabled=one.disabled_at is None,
        disabled_reason=one.disabled_reason,
        disabled_at=one.disabled_at,
        failing_since=one.failing_since,
        paused_until=one.paused_until,
        previous_secret_until=one.previous_secret_until,
        start_seq=one.start_seq,
        created_by=one.created_by,
        created_at=one.created_at,
        updated_at=one.updated_at,
        secret=UNSET if secret is None else secret,
    )


def shown_delivery(one: Delivery) -> DeliveryAnswer:
    """The delivery as admins see it, with the id that its requests have."""
    fields = structs.asdict(one)
    test = one.event_type == TEST_TYPE
    event_id = id_of_test(one.id) if test else id_of_event(one.team_id, one.epoch, one.seq)
    return DeliveryAnswer(event_id=event_id, attempt_count=fields.pop("attempts"), **fields)
