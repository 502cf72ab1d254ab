"""What a webhook's subscription asks for, when it is tried again, and how its endpoint's health moves: pure.

The schedule and the limits are those of Standard Webhooks' reference (https://www.standardwebhooks.com) as
`docs/webhooks.md` states them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from core.codec import JournalRow
from core.events import EVENT_TYPES
from core.task import Status

__all__ = [
    "DELAYS",
    "DISABLED",
    "DISABLE_AFTER",
    "LONGEST_PAUSE",
    "MOST_DESCRIPTION",
    "NOTICE_AFTER",
    "OLDEST",
    "TEST_TYPE",
    "AttemptError",
    "DisabledReason",
    "Filter",
    "Format",
    "Health",
    "Notice",
    "Outcome",
    "Verdict",
    "delay_before",
    "health_after",
    "is_about_task",
    "matches",
    "needs_past",
    "pause_after",
    "id_of_test",
    "passes_no_event",
    "verdict_of",
]

Format = Literal["cloudevents", "slack"]
DisabledReason = Literal["gone", "failing", "by_hand"]
"""The endpoint answered 410, failed for five days, or an admin has switched the subscription off."""

AttemptError = Literal[
    "not-allowed",
    "connect",
    "tls",
    "timeout",
    "broken-answer",
    "interrupted",
    "secret-lost",
    "history-rewritten",
    "internal",
]
"""Why an attempt has no answer. `not-allowed` is one word for every address that is not delivered to, and for names
that have none: whoever subscribes must not learn from it what is inside the network."""

DISABLED: Final = "disabled"
"""Why a delivery has failed without another attempt: its subscription gets nothing any more. No attempt says this."""

Verdict = Literal["delivered", "failed", "throttled", "gone"]
"""What an attempt says of its endpoint. `throttled`: it is overloaded, or too slow, and is asked less often."""

TEST_TYPE: Final = "webhook.test"
"""The type of the CloudEvent that tries a subscription out; it is in no journal and has no `seq`."""

DELAYS: Final = (0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds before each attempt, counted from the end of the one before."""
JITTER: Final = 0.2
MOST_DESCRIPTION: Final = 500
LONGEST_PAUSE: Final = 86_400.0
"""Seconds: no `Retry-After` is honoured for longer."""
LONGEST_THROTTLE: Final = 60.0
OLDEST: Final = timedelta(days=14)
"""No event that is older leaves, whoever asks for it."""
NOTICE_AFTER: Final = timedelta(days=1)
DISABLE_AFTER: Final = timedelta(days=5)
_THROTTLING: Final = frozenset({429, 502, 504})
_GONE: Final = 410


class Filter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Only events about tasks that are like this. What is named must all be so; of each, one of the values.

    An empty list asks for nothing; events about anything but a task never pass a filter that asks for something.
    """

    status: tuple[Status, ...] = ()
    label: tuple[UUID, ...] = ()
    assignee: tuple[UUID, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.status or self.label or self.assignee)


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one attempt: the answer's status (None: no answer, and `error` says why), how long it took in ms,
    the beginning of the answer's body, and for how many seconds the endpoint asks to be left alone."""

    status: int | None = None
    error: AttemptError | None = None
    duration_ms: int = 0
    response: str = ""
    retry_after: float | None = None


class Health(Struct, frozen=True):
    """Since when an endpoint has only failed, whether its team knows, and how far it is throttled."""

    failing_since: datetime | None = None
    noticed_at: datetime | None = None
    throttle: int = 0


Notice = Literal["failing", "disabled"]
"""What the team's admins are to be told: it has failed for a day, or it gets nothing any more."""


class _Facts(Struct):
    """What filters look at."""

    status: Status = "open"
    assignee_id: UUID | None = None
    label_ids: tuple[UUID, ...] = ()


class _Data(Struct):
    task: Mapping[str, Any] | None = None
    previous: Mapping[str, Any] = {}


_decode: Final = msgspec.json.Decoder(_Data).decode
_ABOUT_TASKS: Final = ("task.", "comment.", "attachment.")


def is_about_task(event_type: str) -> bool:
    """Whether events of the type have a task for their subject, or carry one."""
    return event_type.startswith(_ABOUT_TASKS)


def id_of_test(delivery_id: UUID) -> str:
    """The `webhook-id` of a test, which is no event and has no id of one."""
    return f"test_{delivery_id}"


def passes_no_event(event_types: Sequence[str], wanted: Filter) -> bool:
    """Whether nothing can ever match: the filter looks at tasks, and none of the types is about one."""
    return bool(wanted) and bool(event_types) and not any(map(is_about_task, event_types))


def needs_past(row: JournalRow, wanted: Filter) -> bool:
    """Whether the event does not say what its task was like: one that is deleted for good says its ids only."""
    return bool(wanted) and row.type == "task.deleted"


def matches(row: JournalRow, event_types: Sequence[str], wanted: Filter, past: bytes | None = None) -> bool:
    """Whether the subscription asks for the event. `past` is the data of the task's event before, if `needs_past`.

    No types are all types. Raises msgspec.MsgspecError for data of another shape.
    """
    if event_types and row.type not in event_types:
        return False
    if not wanted:
        return True
    if not is_about_task(row.type):
        return False
    payload = past if row.type == "task.deleted" else row.payload
    return payload is not None and any(_is_like(facts, wanted) for facts in _facts(payload, row.type))


def _facts(payload: bytes, event_type: str) -> Sequence[_Facts]:
    """The task after the event, and before it where the event has changed the task's own fields."""
    data = _decode(payload)
    if data.task is None:
        return ()
    names = _Facts.__struct_fields__
    after = {name: data.task[name] for name in names if name in data.task}
    found = [msgspec.convert(after, _Facts)]
    changed = {name: data.previous[name] for name in names if name in data.previous}
    if changed and event_type.startswith("task."):
        found.append(msgspec.convert({**after, **changed}, _Facts))
    return found


def _is_like(task: _Facts, wanted: Filter) -> bool:
    return (
        (not wanted.status or task.status in wanted.status)
        and (not wanted.label or any(label in wanted.label for label in task.label_ids))
        and (not wanted.assignee or task.assignee_id in wanted.assignee)
    )


def verdict_of(outcome: Outcome) -> Verdict:
    """2xx is a success, and nothing else: redirects are not followed."""
    status = outcome.status
    if status is None:
        return "throttled" if outcome.error == "timeout" else "failed"
    if 200 <= status < 300:
        return "delivered"
    if status == _GONE:
        return "gone"
    return "throttled" if status in _THROTTLING else "failed"


def delay_before(step: int, chance: float) -> float | None:
    """Seconds until the attempt of this number (from 0), give or take 20 % by `chance` (0 to 1); None: no more."""
    if step >= len(DELAYS):
        return None
    return DELAYS[step] * (1 - JITTER + 2 * JITTER * chance)


def pause_after(outcome: Outcome, throttle: int) -> float:
    """For how many seconds the endpoint is asked nothing, being throttled to this level by now.

    One that says when it wants to be asked again knows better than the pauses that grow with each failure.
    """
    if outcome.retry_after is not None and outcome.retry_after > 0:
        return min(LONGEST_PAUSE, outcome.retry_after)
    return min(LONGEST_THROTTLE, 2.0**throttle) if throttle else 0.0


def health_after(health: Health, verdict: Verdict, now: datetime) -> tuple[Health, Notice | None, bool]:
    """The endpoint's health after an attempt, what is to be told, and whether it gets nothing any more."""
    if verdict == "delivered":
        return Health(), None, False
    throttle = health.throttle + 1 if verdict == "throttled" else health.throttle
    after = structs.replace(health, failing_since=health.failing_since or now, throttle=min(throttle, 16))
    assert after.failing_since is not None, "it was set above"
    failing = now - after.failing_since
    if verdict == "gone" or failing >= DISABLE_AFTER:
        return after, "disabled", True
    if failing >= NOTICE_AFTER and after.noticed_at is None:
        return structs.replace(after, noticed_at=now), "failing", False
    return after, None, False


assert TEST_TYPE not in EVENT_TYPES, "a test is no event of a team"
