"""Spans of a rhythm: nothing twice, nothing left out that the rule does not leave out."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rhythm import CatchUp, Rhythm, Span, next_span

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

STEPS = st.sampled_from([timedelta(seconds=1), MINUTE, timedelta(minutes=7), HOUR, timedelta(days=1)])
LATENESS = st.timedeltas(timedelta(0), timedelta(days=40))


def spans(rhythm: Rhythm, fired_until: datetime, now: datetime) -> list[Span]:
    """All firings that are due now, in order."""
    found = list[Span]()
    while (span := next_span(rhythm, found[-1].until if found else fired_until, now)) is not None and len(found) < 999:
        found.append(span)
    return found


def test_nothing_is_due_before_the_next_step() -> None:
    rhythm = Rhythm(every=MINUTE)
    assert next_span(rhythm, NOON, NOON + timedelta(seconds=59.999999)) is None
    assert next_span(rhythm, NOON, NOON + MINUTE) == Span(NOON, NOON + MINUTE)


def test_a_clock_that_goes_back_fires_nothing_again() -> None:
    assert next_span(Rhythm(every=MINUTE), NOON, NOON - HOUR) is None


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("once", [Span(NOON, NOON + 3 * MINUTE)]),
        ("each", [Span(NOON + number * MINUTE, NOON + (number + 1) * MINUTE) for number in range(3)]),
        ("skip", [Span(NOON + 2 * MINUTE, NOON + 3 * MINUTE)]),
    ],
)
def test_three_missed_steps_are_made_up_for_by_the_rule(catch_up: CatchUp, expected: list[Span]) -> None:
    assert spans(Rhythm(every=MINUTE, catch_up=catch_up), NOON, NOON + 3 * MINUTE + MINUTE / 2) == expected


@pytest.mark.parametrize("catch_up", ["once", "each"])
def test_what_is_older_than_the_limit_is_left_out(catch_up: CatchUp) -> None:
    rhythm = Rhythm(every=HOUR, catch_up=catch_up, oldest=timedelta(hours=5))
    found = spans(rhythm, NOON - timedelta(days=90), NOON)
    assert (found[0].after, found[-1].until) == (NOON - timedelta(hours=5), NOON)


@given(STEPS, LATENESS, st.timedeltas(timedelta(0), timedelta(days=1)), st.sampled_from(["once", "each"]))
def test_spans_follow_each_other_without_gap_or_overlap(
    every: timedelta, late: timedelta, begun: timedelta, catch_up: CatchUp
) -> None:
    rhythm = Rhythm(every=every, catch_up=catch_up, oldest=min(timedelta(days=14), every * 500))
    fired_until, now = NOON + begun, NOON + begun + late
    found = spans(rhythm, fired_until, now)
    for before, after in pairwise(found):
        assert before.until == after.after
    for span in found:
        assert fired_until <= span.after < span.until <= now
    if found:
        assert now - found[-1].until < every
        assert found[0].after == fired_until or found[0].after <= now - rhythm.oldest
    else:
        assert late < every
