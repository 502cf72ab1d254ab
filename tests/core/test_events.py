"""What is true of all events of a type stands on its class, for everybody who has only a row."""

from typing import get_args

import pytest

from core.events import (
    EVENT_TYPES,
    AnyEvent,
    AttachmentDeleted,
    ColumnDeleted,
    CommentDeleted,
    Event,
    LabelDeleted,
    MemberRemoved,
    Noun,
    TaskDeleted,
    TaskEvent,
    TeamDeleted,
    TeamUpdated,
    event_class,
)


def test_every_event_of_the_union_has_a_type_of_its_own() -> None:
    assert set(EVENT_TYPES.values()) == set(get_args(AnyEvent))


@pytest.mark.parametrize("event", EVENT_TYPES.values(), ids=lambda event: event.type)
def test_an_event_is_about_its_noun(event: type[Event]) -> None:
    if event.noun != "history":
        assert event.type.startswith(f"{event.noun}.")
        assert event.noun in event.__struct_fields__
    assert event.schema_version == (2 if event in (TaskDeleted, TeamUpdated) else 1)
    ends = (TaskDeleted, CommentDeleted, MemberRemoved, LabelDeleted, AttachmentDeleted, ColumnDeleted, TeamDeleted)
    assert event.gone == (event in ends)
    assert event.ends_membership == (event is MemberRemoved)
    carries = event.noun in {"task", "comment", "attachment"}
    assert event.state_record == ("tombstone" if event is TaskDeleted else "task" if carries else "none")
    assert issubclass(event, TaskEvent) == (event.state_record == "task")


def test_every_noun_has_events() -> None:
    assert {event.noun for event in EVENT_TYPES.values()} == set(get_args(Noun))


def test_nothing_is_known_of_an_unknown_type() -> None:
    unknown = event_class("task.exploded")
    assert (unknown.gone, unknown.ends_membership, unknown.state_record) == (False, False, "none")
