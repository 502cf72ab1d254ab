"""What a client may say of a task: closed, bounded, and storable to the byte."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import structs

from core.commands import CreateLabel, CreateTeam, UpdateTeam
from core.field_error import FieldError
from core.task import (
    DESCRIPTION_BYTES,
    REFERENCES,
    Task,
    TaskFields,
    TaskPatch,
    differences,
    in_utc,
    unique,
)
from tests.support.core_team import CoreTeam

ID = str(UUID(int=1))
SERVER_OWNED = sorted(set(Task.__struct_fields__) - set(TaskFields.__struct_fields__))


def fields(**given: Any) -> TaskFields:
    return msgspec.json.decode(msgspec.json.encode({"title": "T", **given}), type=TaskFields)


def patch(**given: Any) -> TaskPatch:
    return msgspec.json.decode(msgspec.json.encode(given), type=TaskPatch)


def test_a_title_is_all_a_task_needs() -> None:
    assert fields() == TaskFields(title="T")


@pytest.mark.parametrize("name", SERVER_OWNED)
def test_what_only_the_server_writes_is_refused_by_name(name: str) -> None:
    for read in (fields, patch):
        with pytest.raises(msgspec.ValidationError, match=name):
            read(**{name: ID})


@pytest.mark.parametrize(
    "given",
    [
        {"title": ""},
        {"title": "   \n"},
        {"title": "x" * 501},
        {"title": "nul\0"},
        {"title": None},
        {"description": "nul\0"},
        {"description": "x" * (DESCRIPTION_BYTES + 1)},
        {"description": "é" * (DESCRIPTION_BYTES // 2 + 1)},
        {"status": "todo"},
        {"status": None},
        {"priority": "P1"},
        {"assignee_id": "me"},
        {"label_ids": [ID] * (REFERENCES + 1)},
        {"label_ids": ID},
        {"blocked_by": [1]},
        {"due_at": "2026-01-01"},
        {"due_at": "2026-01-01T00:00:00"},
        {"due_at": "1899-12-31T00:00:00Z"},
        {"due_at": "9999-12-31T23:59:59Z"},
        {"estimate": -1},
        {"estimate": 10_001},
        {"estimate": "3"},
        {"parent_id": 5},
    ],
)
def test_values_outside_their_limits_are_refused(given: dict[str, Any]) -> None:
    for read in (fields, patch):
        with pytest.raises(msgspec.ValidationError):
            read(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"title": "x" * 500},
        {"description": "x" * DESCRIPTION_BYTES},
        {"description": "é" * (DESCRIPTION_BYTES // 2)},
        {"label_ids": [ID] * REFERENCES},
        {"due_at": "2026-01-01T00:00:00+05:30"},
        {"estimate": 10_000},
    ],
)
def test_values_at_their_limits_are_taken(given: dict[str, Any]) -> None:
    fields(**given)
    patch(**given)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5])
def test_an_estimate_is_a_finite_number_even_when_it_is_not_json(value: float) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        msgspec.convert({"title": "T", "estimate": value}, TaskFields)


@pytest.mark.parametrize("given", [{"external_id": "1"}, {"external_source": "x"}])
def test_an_external_id_comes_with_its_source(given: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="go together"):
        fields(**given)


@pytest.mark.parametrize(
    "given", [{"external_id": "", "external_source": "x"}, {"external_id": "a\0", "external_source": "x"}]
)
def test_an_external_id_is_text_that_can_be_stored(given: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        fields(**given)


def test_absent_null_and_value_are_three_things_in_a_patch() -> None:
    assert patch().changes() == {}
    assert patch(description=None, label_ids=None, blocked_by=None).changes() == {
        "description": "",
        "label_ids": (),
        "blocked_by": (),
    }
    assert patch(due_at=None, estimate=None).changes() == {"due_at": None, "estimate": None}
    assert patch(title="N", estimate=2).changes() == {"title": "N", "estimate": 2.0}


def test_a_patch_cannot_change_where_a_task_came_from() -> None:
    with pytest.raises(msgspec.ValidationError):
        patch(external_id="1")


def test_names_of_teams_and_labels_are_text_that_can_be_stored() -> None:
    team = UUID(int=1)
    for make in (
        lambda: CreateTeam(team, " ", "ENG", "O"),
        lambda: UpdateTeam(name="a\0"),
        lambda: CreateLabel("\t", "#000000"),
    ):
        with pytest.raises(ValueError, match="text must not"):
            make()


def test_text_is_kept_in_nfc_with_newlines_alone() -> None:
    task = fields(title="e\u0301", description="a\r\nb\te\u0301")
    assert (task.title, task.description) == ("\u00e9", "a\nb\t\u00e9")
    assert patch(title="e\u0301").title == "\u00e9"
    assert (CreateLabel("e\u0301", "#000000").name, UpdateTeam(name="e\u0301").name) == ("\u00e9", "\u00e9")


def test_composed_text_must_still_fit() -> None:
    with pytest.raises(msgspec.ValidationError, match="500 characters"):
        fields(title="\ufb1d" * 500)  # One of the few that NFC makes longer.


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("title", "a\tb"),
        ("title", "a\nb"),
        ("title", "a\u2028b"),
        ("title", "\u202ea"),
        ("title", "a\u2066b"),
        ("title", "a\ufdd0"),
        ("title", "\u200b\ufeff\u2800\u3164"),
        ("description", "a\x1b[31m"),
        ("description", "a\rb"),
        ("description", "a\x85"),
        ("description", "\u2069"),
        ("description", "\U0010ffff"),
        ("external_id", "\u2060"),
        ("external_source", "x\n"),
    ],
)
def test_what_hides_or_steers_is_refused_with_its_field(field: str, text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="text must not") as caught:
        fields(**{"external_id": "1", "external_source": "x", field: text})
    assert isinstance(caught.value.__cause__, FieldError)
    assert caught.value.__cause__.field == field


def test_differences_name_the_changed_fields_with_their_old_values_and_no_bookkeeping() -> None:
    before = CoreTeam().task("Old", estimate=1.0)
    after = structs.replace(before, title="New", estimate=None, version=99, updated_at=datetime.now(UTC))
    assert differences(before, after) == {"title": "Old", "estimate": 1.0}
    assert differences(before, structs.replace(before, title="".join(["O", "ld"]))) == {}


def test_small_helpers_keep_order_and_absence() -> None:
    a, b = UUID(int=1), UUID(int=2)
    assert unique([b, a, b]) == (b, a)
    assert in_utc(None) is None
