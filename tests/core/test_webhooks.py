"""Which events a subscription asks for, when attempts are made, and how an endpoint's health moves."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from core.codec import JournalRow, encode
from core.webhooks import (
    DELAYS,
    Filter,
    Health,
    Outcome,
    delay_before,
    health_after,
    matches,
    needs_past,
    passes_no_event,
    pause_after,
    verdict_of,
)
from tests.support.journal_writer import SALT, a_task, created, deleted, updated

TEAM, ADA, BUG = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(event: Any) -> JournalRow:
    return encode(event, salt=SALT).row


def test_no_types_are_all_types() -> None:
    event = row(created(a_task(TEAM), 1))
    assert matches(event, (), Filter())
    assert matches(event, ("task.created",), Filter())
    assert not matches(event, ("task.updated",), Filter())


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(status=("open",)), True),
        (Filter(status=("done", "open")), True),
        (Filter(status=("done",)), False),
        (Filter(assignee=(ADA,)), True),
        (Filter(label=(BUG,)), True),
        (Filter(label=(ADA,)), False),
        (Filter(status=("open",), label=(BUG,), assignee=(ADA,)), True),
        (Filter(status=("open",), label=(ADA,), assignee=(ADA,)), False),
    ],
)
def test_all_that_is_named_must_be_so(wanted: Filter, fits: bool) -> None:
    event = row(created(a_task(TEAM, assignee_id=ADA, label_ids=(BUG,)), 1))
    assert matches(event, (), wanted) is fits


def test_the_task_before_the_change_counts_as_much_as_the_one_after_it() -> None:
    task = a_task(TEAM, status="done")
    event = row(updated(task, 2, status="open", assignee_id=str(ADA)))
    assert matches(event, (), Filter(status=("open",)))
    assert matches(event, (), Filter(status=("done",)))
    assert matches(event, (), Filter(assignee=(ADA,)))
    assert not matches(event, (), Filter(status=("in_review",)))
    # One task at a time: it was open and Ada's, and it is done and nobody's.
    assert matches(event, (), Filter(status=("open",), assignee=(ADA,)))
    assert not matches(event, (), Filter(status=("done",), assignee=(ADA,)))


def test_a_task_that_is_deleted_for_good_is_judged_by_what_was_said_of_it_before() -> None:
    task = a_task(TEAM, status="done")
    event, past = row(deleted(task, 2)), row(created(task, 1)).payload
    wanted = Filter(status=("done",))
    assert needs_past(event, wanted)
    assert not needs_past(event, Filter())
    assert matches(event, (), wanted, past)
    assert not matches(event, (), Filter(status=("open",)), past)
    assert not matches(event, (), wanted, None)


@pytest.mark.parametrize(
    ("event_types", "wanted", "never"),
    [
        (("member.added", "label.created"), Filter(status=("open",)), True),
        (("member.added", "task.created"), Filter(status=("open",)), False),
        (("member.added",), Filter(), False),
        ((), Filter(status=("open",)), False),
    ],
)
def test_types_that_are_about_no_task_and_a_filter_let_nothing_pass(
    event_types: tuple[str, ...], wanted: Filter, never: bool
) -> None:
    assert passes_no_event(event_types, wanted) is never


def test_what_is_about_no_task_passes_no_filter() -> None:
    event = structs.replace(row(created(a_task(TEAM), 1)), type="label.created", payload=b'{"label":{}}')
    assert matches(event, (), Filter())
    assert not matches(event, (), Filter(status=("open",)))


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 9))
def test_delays_are_the_schedule_give_or_take_a_fifth(chance: float, step: int) -> None:
    delay = delay_before(step, chance)
    assert delay is not None
    assert 0.8 * DELAYS[step] <= delay <= 1.2 * DELAYS[step]


def test_there_are_ten_attempts() -> None:
    assert [round(delay) for delay in DELAYS] == [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert delay_before(10, 0.5) is None


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Outcome(status=200), "delivered"),
        (Outcome(status=299), "delivered"),
        (Outcome(status=301), "failed"),
        (Outcome(status=199), "failed"),
        (Outcome(status=404), "failed"),
        (Outcome(status=410), "gone"),
        (Outcome(status=429), "throttled"),
        (Outcome(status=500), "failed"),
        (Outcome(status=502), "throttled"),
        (Outcome(status=504), "throttled"),
        (Outcome(error="timeout"), "throttled"),
        (Outcome(error="connect"), "failed"),
        (Outcome(error="not-allowed"), "failed"),
    ],
)
def test_an_answer_says_how_its_endpoint_is(outcome: Outcome, verdict: str) -> None:
    assert verdict_of(outcome) == verdict


@pytest.mark.parametrize(
    ("retry_after", "throttle", "seconds"),
    [
        (None, 0, 0),
        (10.0, 0, 10),
        (200_000.0, 1, 86_400),
        (-5.0, 0, 0),
        (1.0, 3, 1),
        (0.0, 3, 8),
        (None, 3, 8),
        (None, 16, 60),
    ],
)
def test_an_endpoint_is_left_alone_for_as_long_as_it_asks_up_to_a_day(
    retry_after: float | None, throttle: int, seconds: float
) -> None:
    assert pause_after(Outcome(status=429, retry_after=retry_after), throttle) == seconds


def test_five_days_of_failures_disable_and_one_is_told() -> None:
    health, told = Health(), []
    for hours in range(0, 121, 12):
        health, notice, disabled = health_after(health, "failed", NOW + timedelta(hours=hours))
        told.append((hours, notice, disabled))
    assert [one for one in told if one[1]] == [(24, "failing", False), (120, "disabled", True)]
    assert health.failing_since == NOW


def test_one_success_begins_anew_and_gone_is_gone_at_once() -> None:
    failing, _, _ = health_after(Health(), "throttled", NOW)
    assert failing == Health(NOW, None, 1)
    assert health_after(failing, "delivered", NOW) == (Health(), None, False)
    assert health_after(Health(), "gone", NOW)[1:] == ("disabled", True)
