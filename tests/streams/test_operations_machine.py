"""The life of an operation, played in memory: whatever fails when, it ends whole or taken back, in reverse order."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from db.operations import Operation, StepState
from streams.operations.kinds import Context, Kind, Plan, Refused, Step
from streams.operations.machine import (
    LONGEST_PAUSE,
    STUCK_ATTEMPTS,
    Task,
    claimed,
    failed,
    pause_after,
    succeeded,
    task_of,
)

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
NAMES = ("a", "b", "c", "pivot", "x", "y")
ATTEMPTS = 3


async def undo(_context: Context, _tx: object) -> None:
    return


KIND = Kind(
    Plan("life", NAMES),
    (
        *(Step(name=name, undo=undo) for name in "abc"),
        Step(name="pivot", role="pivot"),
        *(Step(name=name, role="retry") for name in "xy"),
    ),
    attempts=ATTEMPTS,
)


def born() -> Operation:
    return Operation(
        id=UUID(int=1),
        kind="life",
        user_id=UUID(int=2),
        team_id=None,
        status="waiting",
        undoing=False,
        steps=tuple(map(StepState, NAMES)),
        progress=0.0,
        data={},
        result=None,
        error=None,
        version=0,
        attempts=0,
        traceparent="",
        created_at=NOW,
        updated_at=NOW,
        ended_at=None,
    )


def lived(outcomes: list[str]) -> tuple[Operation, list[str]]:
    """The operation after these outcomes of its steps, then successes; and what was done, in order."""
    operation, done, coming = born(), list[str](), iter(outcomes)
    while operation.ended_at is None:
        task = task_of(KIND, operation)
        assert isinstance(task, Task)
        operation = claimed(operation, task)
        assert operation.steps[task.index].status in ("running", "undoing")
        match next(coming, "succeeds"):
            case "succeeds":
                done.append(f"-{task.step.name}" if task.back else task.step.name)
                operation = succeeded(operation, task, {}, NOW)
            case "fails":
                operation = failed(KIND, operation, task, ValueError("no"), NOW)
            case "is refused":
                operation = failed(KIND, operation, task, Refused("never"), NOW)
            case _:  # Killed: its lease runs out.
                operation = structs.replace(operation)
    return operation, done


OUTCOMES = st.lists(st.sampled_from(["succeeds", "succeeds", "fails", "is refused", "is killed"]), max_size=60)


@settings(max_examples=500, deadline=None)
@given(OUTCOMES)
def test_every_life_ends_whole_or_taken_back(outcomes: list[str]) -> None:
    operation, done = lived(outcomes)
    forwards = [name for name in done if not name.startswith("-")]
    back = [name.removeprefix("-") for name in done if name.startswith("-")]
    assert forwards == list(NAMES[: len(forwards)]), "each step once, in order"
    assert len(back) == len(set(back))
    if operation.status == "succeeded":
        assert (forwards, back, operation.progress) == (list(NAMES), [], 1.0)
    else:
        assert operation.status == "failed"
        assert "pivot" not in forwards, "after the pivot there is no way back"
        assert set(forwards) <= set(back), "everything that was done is taken back"
        assert back == sorted(back, reverse=True), "in reverse order"
        assert len(back) <= len(forwards) + 1, "and at most the step that was in hand besides"
        assert operation.error


def test_a_step_after_the_pivot_is_never_given_up() -> None:
    operation, done = lived([*["succeeds"] * 4, *["is refused"] * 50])
    assert (operation.status, done) == ("succeeded", list(NAMES))


def test_what_takes_a_step_back_is_never_given_up() -> None:
    operation, done = lived(["succeeds", "is refused", *["fails"] * 50])
    assert (operation.status, done) == ("failed", ["a", "-b", "-a"])


@pytest.mark.parametrize("outcome", ["fails", "is killed"])
def test_it_is_stuck_for_as_long_as_it_does_not_go_on(outcome: str) -> None:
    operation, seen = born(), set[str]()
    for number in range(4 + STUCK_ATTEMPTS + 2):
        task = task_of(KIND, operation)
        assert task is not None
        operation = claimed(operation, task)
        if number < 4:
            operation = succeeded(operation, task, {}, NOW)
        elif outcome == "fails":
            operation = failed(KIND, operation, task, ValueError("no"), NOW)
        seen.add(operation.status)
    assert (operation.status, seen) == ("stuck", {"running", "stuck"})
    task = task_of(KIND, operation)
    assert task is not None
    assert succeeded(operation, task, {}, NOW).status == "running"


def test_pauses_double_up_to_ten_minutes_and_differ() -> None:
    assert all(0.8 * 2 ** (n - 1) <= pause_after(n) <= 1.2 * 2 ** (n - 1) for n in range(1, 9))
    assert 0.8 * LONGEST_PAUSE <= pause_after(STUCK_ATTEMPTS) <= 1.2 * LONGEST_PAUSE
    assert len({pause_after(5) for _ in range(20)}) > 1
