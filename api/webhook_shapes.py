"""What goes in and out of the endpoints of webhooks."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from core.events import EVENT_TYPES
from core.field_error import FieldError
from core.task import Status, tidy
from core.text import clean_line
from core.webhooks import MOST_DESCRIPTION, DisabledReason, Filter, Format
from db.webhooks.deliveries import AGAIN, Again, DeliveryStatus

__all__ = [
    "AttemptAnswer",
    "DeliveryAnswer",
    "DeliveryDetail",
    "DeliveryPage",
    "NewSubscription",
    "Recovered",
    "Recovery",
    "ShownFilter",
    "SubscriptionAnswer",
    "SubscriptionPage",
    "SubscriptionPatch",
]

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2048,
        description="`https`, on port 443, of a host on the internet; in ASCII, without user name or fragment.",
    ),
]
Description = Annotated[str, Meta(max_length=MOST_DESCRIPTION, description="One line.")]
EventTypes = Annotated[
    tuple[Annotated[str, Meta(extra_json_schema={"enum": sorted(EVENT_TYPES)})], ...],
    Meta(max_length=len(EVENT_TYPES), description="Empty: every type, those of later versions too."),
]


def _clean_description(text: str) -> str:
    return clean_line(text, MOST_DESCRIPTION) if text else text


def _check_types(event_types: tuple[str, ...] | UnsetType) -> None:
    if event_types is not UNSET:
        for number, name in enumerate(event_types):
            if name not in EVENT_TYPES:
                raise FieldError(f"event_types/{number}", f"there is no such type: {name[:100]}")
            if name in event_types[:number]:
                raise FieldError(f"event_types/{number}", "named twice")


def _check_filter(wanted: Filter | UnsetType | None) -> None:
    if isinstance(wanted, Filter) and max(len(wanted.status), len(wanted.label), len(wanted.assignee)) > MOST_VALUES:
        raise FieldError("filter", f"a filter names at most {MOST_VALUES} values of each")


MOST_VALUES: Final = 10


class NewSubscription(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be sent what. `in_order` holds events back behind one that could not be delivered yet."""

    team_id: UUID
    url: Url
    event_types: EventTypes = ()
    filter: Filter | None = None
    description: Description = ""
    format: Format = "cloudevents"
    in_order: bool = False

    def __post_init__(self) -> None:
        tidy(self, description=_clean_description)
        _check_types(self.event_types)
        _check_filter(self.filter)


class SubscriptionPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch. With `enabled` a webhook is switched on, in good health, or off."""

    url: Url | UnsetType = UNSET
    event_types: EventTypes | UnsetType = UNSET
    filter: Filter | UnsetType | None = UNSET
    description: Description | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    in_order: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy(self, description=_clean_description)
        _check_types(self.event_types)
        _check_filter(self.filter)


class ShownFilter(Struct, frozen=True, kw_only=True):
    """Of each, one of the values must be the task's, before or after the change; an empty list asks for nothing."""

    status: tuple[Status, ...]
    label: tuple[UUID, ...]
    assignee: tuple[UUID, ...]


class SubscriptionAnswer(Struct, frozen=True, kw_only=True):
    """A webhook. `secret` is there once, in the answer that makes it.

    It gets the events after `start_seq`. `failing_since` is since when every attempt has failed; `paused_until`, when
    the endpoint is asked next after it was overloaded; `previous_secret_until`, how long the old secret signs, too.
    """

    id: UUID
    team_id: UUID
    url: str
    event_types: tuple[str, ...]
    filter: ShownFilter
    description: str
    format: Format
    in_order: bool
    enabled: bool
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    failing_since: datetime | None
    paused_until: datetime | None
    previous_secret_until: datetime | None
    start_seq: int
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    secret: str | UnsetType = UNSET


class SubscriptionPage(Struct, frozen=True):
    """A team's webhooks, newest first."""

    items: tuple[SubscriptionAnswer, ...]
    next_cursor: str | None


class Recovery(Struct, frozen=True, forbid_unknown_fields=True):
    """From when on, at most 14 days ago, deliveries are sent again: those that failed, and those that wait."""

    since: Annotated[datetime, Meta(tz=True)]
    status: Annotated[
        tuple[Again, ...],
        Meta(min_length=1, max_length=2, description="Only these: `pending` alone sends now what waits."),
    ] = AGAIN


class Recovered(Struct, frozen=True):
    """How many deliveries are sent now."""

    recovered: int


class AttemptAnswer(Struct, frozen=True, kw_only=True):
    """One request. Without a `status`, `error` says why there was no answer; `response` is how its body begins."""

    number: int
    at: datetime
    status: int | None
    error: str | None
    duration_ms: int | None
    response: str


class DeliveryAnswer(Struct, frozen=True, kw_only=True):
    """One event for one webhook. `event_id` is its `webhook-id`, the same at each attempt; `last_…` is of the newest.

    `next_at` is when it is tried next. Where events go in order, `blocked_by` is the delivery that must end before:
    until then it is tried at no time. `last_error` is `disabled` when it was given up with its webhook. A test has the
    `seq` 0.
    """

    id: UUID
    team_id: UUID
    subscription_id: UUID
    event_id: str
    event_type: str
    epoch: int
    seq: int
    prev_seq: int
    task_id: UUID | None
    happened_at: datetime
    created_at: datetime
    status: DeliveryStatus
    attempt_count: int
    blocked_by: UUID | None
    next_at: datetime | None
    ended_at: datetime | None
    last_status: int | None
    last_error: str | None
    last_duration_ms: int | None


class DeliveryDetail(DeliveryAnswer, frozen=True, kw_only=True):
    """The same with its attempts, oldest first; of very many the newest hundred."""

    attempts: tuple[AttemptAnswer, ...]


class DeliveryPage(Struct, frozen=True):
    """Deliveries, newest first."""

    items: tuple[DeliveryAnswer, ...]
    next_cursor: str | None
