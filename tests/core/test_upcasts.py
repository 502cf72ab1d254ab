"""Older data is brought up to date when it is decoded; the versions of today pass through untouched."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from core.codec import JournalRow, current_data, decode, encode, reread
from core.events import EVENT_TYPES, TaskMoved, TaskUpdated
from core.team import TeamState, evolve
from core.upcasts import STEPS, UnknownEvent, known_type, upcast
from tests.support.columns import placed
from tests.support.core_team import SALT, CoreTeam, every_event


@pytest.fixture(scope="module")
def history() -> CoreTeam:
    return every_event(ended=True)


def test_every_older_version_has_a_step_to_the_next_one_and_there_is_no_other_step() -> None:
    wanted = {(name, version) for name, kind in EVENT_TYPES.items() for version in range(1, kind.schema_version)}
    assert set(STEPS) == wanted


def test_todays_data_passes_through_as_the_same_bytes(history: CoreTeam) -> None:
    for encoded in history.journal:
        assert current_data(encoded.row) is encoded.row.payload


def to_old(row: JournalRow) -> JournalRow:
    """The row as a release before would have written it that called a title a name, and had no `previous`."""
    data = msgspec.json.decode(row.payload)
    task = data["task"]
    task["name"] = task.pop("title")
    del data["previous"]
    return structs.replace(row, payload=msgspec.json.encode(data), schema_version=1)


def named_title(data: dict[str, Any]) -> dict[str, Any]:
    """From version 1 to 2 of the test."""
    task = dict(data["task"])
    return {**data, "task": {**task, "title": task.pop("name")}}


def empty_previous(data: dict[str, Any]) -> dict[str, Any]:
    """From version 2 to 3 of the test."""
    return {**data, "previous": {}}


@pytest.fixture
def _third_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """`task.updated` is at version 3, after two changes of its data."""
    monkeypatch.setattr(TaskUpdated, "schema_version", 3)
    monkeypatch.setitem(STEPS, ("task.updated", 1), named_title)
    monkeypatch.setitem(STEPS, ("task.updated", 2), empty_previous)


@pytest.mark.usefixtures("_third_version")
def test_a_history_with_older_rows_folds_to_the_same_board(history: CoreTeam) -> None:
    state, older = TeamState(), 0
    for encoded in history.journal:
        row = encoded.row
        if row.type == "task.updated":
            row, older = to_old(row), older + 1
        evolve(state, decode(row))
    assert older > 0
    assert list(state.tasks.values()) == list(history.state.tasks.values())
    assert (state.columns, placed(state)) == (history.state.columns, placed(history.state))


@pytest.mark.usefixtures("_third_version")
def test_each_version_takes_the_steps_that_it_lacks(history: CoreTeam) -> None:
    row = next(encoded.row for encoded in history.journal if encoded.row.type == "task.updated")
    first = to_old(row)
    second = structs.replace(first, payload=msgspec.json.encode(named_title(msgspec.json.decode(first.payload))))
    event = decode(structs.replace(row, schema_version=3))
    assert isinstance(event, TaskUpdated)
    for older in (first, structs.replace(second, schema_version=2)):
        assert decode(older) == structs.replace(event, previous={})
        assert reread(older).task == reread(structs.replace(row, schema_version=3)).task
        assert reread(older).row is older, "the row stays as it was written"


@pytest.mark.usefixtures("_third_version")
def test_what_is_written_says_the_version_of_its_type(history: CoreTeam) -> None:
    by_type = {encoded.row.type: encoded.event for encoded in history.journal}
    versions = {name: encode(event, salt=SALT).row.schema_version for name, event in by_type.items()}
    assert versions == {
        name: {"task.updated": 3, "task.deleted": 2, "team.updated": 2}.get(name, 1) for name in EVENT_TYPES
    }


@pytest.mark.usefixtures("_third_version")
def test_only_what_is_newer_than_the_program_is_unknown() -> None:
    assert [known_type("task.updated", version) for version in (1, 2, 3)] == [TaskUpdated] * 3
    assert known_type("task.moved", 1) is TaskMoved
    for event_type, version in (("task.updated", 4), ("task.moved", 2), ("task.exploded", 1)):
        with pytest.raises(UnknownEvent) as unknown:
            known_type(event_type, version)
        assert (unknown.value.event_type, unknown.value.version) == (event_type, version)
        assert upcast(event_type, version, b"{ }") == b"{ }", "who only passes it on needs no more"
