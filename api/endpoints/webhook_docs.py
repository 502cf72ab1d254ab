"""How the endpoints of webhooks are documented."""

from typing import Any, Final

from api import paths
from api.binding import MERGE_PATCH
from api.endpoints.task_docs import OF_TEAM, TASK, TEAM_ID
from api.endpoints.team_examples import ADA, page
from api.openapi import MIN_SEQ, PAGE, Operation, Parameter, Reply
from api.webhook_shapes import (
    DeliveryAnswer,
    DeliveryDetail,
    DeliveryPage,
    NewSubscription,
    Recovered,
    Recovery,
    SubscriptionAnswer,
    SubscriptionPage,
    SubscriptionPatch,
)
from core.rights import MANAGE_TEAM, in_team

__all__ = ["DELIVERIES", "SUBSCRIPTIONS"]

SUBSCRIPTION_ID: Final = "019a3b1e-8000-7000-8000-0000000000d1"
SUBSCRIPTION: Final[dict[str, Any]] = {
    "id": SUBSCRIPTION_ID,
    "team_id": TEAM_ID,
    "url": "https://hooks.example.com/taskforge",
    "event_types": ["task.created", "task.moved"],
    "filter": {"status": ["in_review", "done"], "label": [], "assignee": []},
    "description": "Release notes",
    "format": "cloudevents",
    "in_order": False,
    "enabled": True,
    "disabled_reason": None,
    "disabled_at": None,
    "failing_since": None,
    "paused_until": None,
    "previous_secret_until": None,
    "start_seq": 117,
    "created_by": ADA,
    "created_at": "2026-02-02T10:30:00Z",
    "updated_at": "2026-02-02T10:30:00Z",
}
WITH_SECRET: Final = {**SUBSCRIPTION, "secret": "whsec_…"}
DELIVERY: Final[dict[str, Any]] = {
    "id": "019a3b1e-8100-7000-8000-0000000000e1",
    "team_id": TEAM_ID,
    "subscription_id": SUBSCRIPTION_ID,
    "event_id": f"{TEAM_ID}:1:118",
    "event_type": "task.moved",
    "epoch": 1,
    "seq": 118,
    "prev_seq": 112,
    "task_id": TASK["id"],
    "happened_at": "2026-02-02T10:31:00Z",
    "created_at": "2026-02-02T10:31:00Z",
    "status": "delivered",
    "attempt_count": 1,
    "blocked_by": None,
    "next_at": None,
    "ended_at": "2026-02-02T10:31:01Z",
    "last_status": 204,
    "last_error": None,
    "last_duration_ms": 87,
}
WAITING: Final = {**DELIVERY, "status": "pending", "next_at": "2026-02-02T11:00:00Z", "ended_at": None}
TEST: Final = {
    **WAITING,
    "event_id": f"test_{DELIVERY['id']}",
    "event_type": "webhook.test",
    "seq": 0,
    "prev_seq": 0,
    "task_id": None,
    "attempt_count": 0,
    "last_status": None,
    "last_duration_ms": None,
}
ATTEMPT: Final = {
    "number": 1,
    "at": "2026-02-02T10:31:00.9Z",
    "status": 204,
    "error": None,
    "duration_ms": 87,
    "response": "",
}

_FOUND: Final = ("not-found", "forbidden", "ahead-of-history", "history-rewritten")
_REQUIRES: Final = in_team(MANAGE_TEAM)


def _parameter(name: str, schema: dict[str, Any], description: str, *, required: bool = False) -> Parameter:
    return Parameter(name=name, schema=schema, description=description, required=required)


SUBSCRIPTIONS: Final = (
    Operation(
        method="POST",
        path=paths.WEBHOOKS,
        id="createWebhook",
        summary="Send a team's events to an endpoint",
        tag="Webhooks",
        description=(
            "What happens from now on is sent as a CloudEvent, signed as Standard Webhooks are; "
            "[webhooks.md](docs/webhooks.md) says what a receiver does with it. With a `filter`, only what happens to "
            "tasks that are so before or after it. The format `slack` is a line for a chat's incoming webhook."
        ),
        parameters=(MIN_SEQ,),
        body=NewSubscription,
        body_example={
            "team_id": TEAM_ID,
            "url": SUBSCRIPTION["url"],
            "event_types": SUBSCRIPTION["event_types"],
            "filter": {"status": ["in_review", "done"]},
            "description": SUBSCRIPTION["description"],
        },
        replies={
            201: Reply(
                description="The webhook. Its `secret` is shown this once.",
                body=SubscriptionAnswer,
                headers=("Location", "Cache-Control", *OF_TEAM),
                example=WITH_SECRET,
            )
        },
        problems=(*_FOUND, "quota-reached", "invalid-reference", "contradiction"),
        keyed=True,
        requires=_REQUIRES,
    ),
    Operation(
        method="GET",
        path=paths.WEBHOOKS,
        id="listWebhooks",
        summary="A team's webhooks",
        tag="Webhooks",
        description="Those that are disabled, too; without their secrets.",
        parameters=(
            _parameter("team_id", {"type": "string", "format": "uuid"}, "The team.", required=True),
            *PAGE,
            MIN_SEQ,
        ),
        replies={
            200: Reply(
                description="A page, newest first.", body=SubscriptionPage, headers=OF_TEAM, example=page(SUBSCRIPTION)
            )
        },
        problems=_FOUND,
        requires=_REQUIRES,
    ),
    Operation(
        method="GET",
        path=paths.WEBHOOK,
        id="getWebhook",
        summary="A webhook",
        tag="Webhooks",
        description="And how its endpoint is: whether it fails, since when, and why it is disabled, if it is.",
        parameters=(MIN_SEQ,),
        replies={
            200: Reply(
                description="The webhook, without its secret.",
                body=SubscriptionAnswer,
                headers=OF_TEAM,
                example=SUBSCRIPTION,
            )
        },
        problems=_FOUND,
        requires=_REQUIRES,
    ),
    Operation(
        method="PATCH",
        path=paths.WEBHOOK,
        id="updateWebhook",
        summary="Change a webhook, enable or disable it",
        tag="Webhooks",
        description=(
            "What is not named stays. One that is disabled is sent nothing, and what waited for it has failed; its log "
            "goes on, so that `recover` can send what it missed."
        ),
        parameters=(MIN_SEQ,),
        body=SubscriptionPatch,
        body_media_types=MERGE_PATCH,
        body_example={"event_types": [], "enabled": True},
        replies={
            200: Reply(description="As it is now.", body=SubscriptionAnswer, headers=OF_TEAM, example=SUBSCRIPTION)
        },
        problems=(*_FOUND, "invalid-reference", "contradiction"),
        keyed=True,
        requires=_REQUIRES,
    ),
    Operation(
        method="DELETE",
        path=paths.WEBHOOK,
        id="deleteWebhook",
        summary="Delete a webhook",
        tag="Webhooks",
        description="With its log. What is on its way at this moment may still arrive.",
        parameters=(MIN_SEQ,),
        replies={204: Reply(description="It is gone.", headers=OF_TEAM)},
        problems=_FOUND,
        keyed=True,
        requires=_REQUIRES,
    ),
    Operation(
        method="POST",
        path=paths.WEBHOOK_ROTATE,
        id="rotateWebhookSecret",
        summary="Give a webhook another secret",
        tag="Webhooks",
        description=(
            "What is sent is signed by the new secret, and by each older one until 24 hours after it was replaced, so "
            "that the receiver can change over at any time of these. Where five older ones sign already, another "
            "rotation is refused with 409 (`conflict`, reason `too-many-rotations`)."
        ),
        parameters=(MIN_SEQ,),
        replies={
            200: Reply(
                description="The webhook with its new `secret`, which is shown this once.",
                body=SubscriptionAnswer,
                headers=("Cache-Control", *OF_TEAM),
                example={**WITH_SECRET, "previous_secret_until": "2026-02-03T10:30:00Z"},
            )
        },
        problems=(*_FOUND, "conflict"),
        keyed=True,
        requires=_REQUIRES,
    ),
)

DELIVERIES: Final = (
    Operation(
        method="POST",
        path=paths.WEBHOOK_TEST,
        id="testWebhook",
        summary="Send a test event",
        tag="Webhooks",
        description="A signed event of the type `webhook.test`, once: what comes of it stands in the log soon.",
        parameters=(MIN_SEQ,),
        replies={
            202: Reply(description="Its delivery.", body=DeliveryAnswer, headers=("Location", *OF_TEAM), example=TEST)
        },
        problems=(*_FOUND, "conflict"),
        keyed=True,
        requires=_REQUIRES,
    ),
    Operation(
        method="POST",
        path=paths.WEBHOOK_RECOVER,
        id="recoverWebhook",
        summary="Send what has failed or waits",
        tag="Webhooks",
        description=(
            "Deliveries of events since then that have failed, and those that wait for their next attempt, are sent "
            "now and begin their schedule anew, with the ids that they had; a pause of the endpoint ends. With "
            "`status` only those that failed, or those that wait. Not of events of more than 14 days ago, nor for a "
            "webhook that is disabled."
        ),
        parameters=(MIN_SEQ,),
        body=Recovery,
        body_example={"since": "2026-02-01T00:00:00Z"},
        replies={
            202: Reply(description="How many are sent now.", body=Recovered, headers=OF_TEAM, example={"recovered": 12})
        },
        problems=(*_FOUND, "conflict"),
        keyed=True,
        requires=_REQUIRES,
    ),
    Operation(
        method="GET",
        path=paths.WEBHOOK_DELIVERIES,
        id="listDeliveries",
        summary="The delivery log of a webhook",
        tag="Webhooks",
        description="Newest first; a delivery is kept for 30 days.",
        parameters=(
            _parameter(
                "status",
                {"type": "string", "enum": ["pending", "delivered", "failed", "expired"]},
                "Only these: waiting for an attempt, answered with a 2xx, given up, or too old to be sent.",
            ),
            *PAGE,
            MIN_SEQ,
        ),
        replies={
            200: Reply(description="A page, newest first.", body=DeliveryPage, headers=OF_TEAM, example=page(DELIVERY))
        },
        problems=_FOUND,
        requires=_REQUIRES,
    ),
    Operation(
        method="GET",
        path=paths.DELIVERY,
        id="getDelivery",
        summary="A delivery and its attempts",
        tag="Webhooks",
        description=(
            "Of what an endpoint answers the first 2,000 characters are kept. An attempt whose process ended before an "
            "answer came says `interrupted`, and is made again."
        ),
        parameters=(MIN_SEQ,),
        replies={
            200: Reply(
                description="The delivery.",
                body=DeliveryDetail,
                headers=OF_TEAM,
                example={**DELIVERY, "attempts": [ATTEMPT]},
            )
        },
        problems=_FOUND,
        requires=_REQUIRES,
    ),
    Operation(
        method="POST",
        path=paths.DELIVERY_REDELIVER,
        id="redeliver",
        summary="Deliver an event again",
        tag="Webhooks",
        description="Its schedule begins anew, at once and with the same id, whatever came of it before.",
        parameters=(MIN_SEQ,),
        replies={
            202: Reply(
                description="It waits again.", body=DeliveryAnswer, headers=("Location", *OF_TEAM), example=WAITING
            )
        },
        problems=(*_FOUND, "conflict"),
        keyed=True,
        requires=_REQUIRES,
    ),
)
