"""Somebody is notified of a task that somebody else gave to them, and of nothing else."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from core.assignment import ASSIGNING_TYPES, newly_assigned
from core.events import EVENT_TYPES, AnyEvent, Label, LabelCreated, TaskArchived, TaskCreated, TaskMoved, TaskUpdated
from core.task import Task

ANN, BEN, TEAM = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def task(assignee_id: UUID | None) -> Task:
    return Task(
        id=UUID(int=4),
        team_id=TEAM,
        number=1,
        key="ENG-1",
        title="Feed the cat",
        assignee_id=assignee_id,
        rank="a0",
        created_by=BEN,
        created_at=NOW,
        updated_at=NOW,
        version=1,
    )


def created(assignee_id: UUID | None, /, by: UUID) -> TaskCreated:
    return TaskCreated(team_id=TEAM, seq=1, actor_id=by, at=NOW, task=task(assignee_id))


def updated(assignee_id: UUID | None, /, by: UUID, **previous: object) -> TaskUpdated:
    return TaskUpdated(team_id=TEAM, seq=2, actor_id=by, at=NOW, task=task(assignee_id), previous=previous)


@pytest.mark.parametrize(
    "event",
    [
        created(ANN, by=BEN),
        updated(ANN, by=BEN, assignee_id=None),
        updated(ANN, by=BEN, assignee_id=BEN, title="another"),
    ],
)
def test_whoever_is_given_a_task_by_somebody_else_is_newly_assigned(event: AnyEvent) -> None:
    assert newly_assigned(event) == ANN
    assert event.type in ASSIGNING_TYPES


@pytest.mark.parametrize(
    "event",
    [
        created(None, by=BEN),
        created(ANN, by=ANN),
        updated(ANN, by=ANN, assignee_id=BEN),
        updated(None, by=BEN, assignee_id=ANN),
        updated(ANN, by=BEN, title="another"),
        TaskMoved(team_id=TEAM, seq=2, actor_id=BEN, at=NOW, task=task(ANN), previous={"rank": "a1"}),
        TaskArchived(team_id=TEAM, seq=2, actor_id=BEN, at=NOW, task=task(ANN)),
        LabelCreated(team_id=TEAM, seq=2, actor_id=BEN, at=NOW, label=Label(id=ANN, name="red", color="#ff0000")),
    ],
)
def test_nobody_is_newly_assigned_by_their_own_hand_or_by_any_other_change(event: AnyEvent) -> None:
    assert newly_assigned(event) is None


def test_the_types_that_can_assign_are_types_of_events() -> None:
    assert set(EVENT_TYPES) >= ASSIGNING_TYPES
