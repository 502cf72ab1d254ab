"""Filters, orders and cursors, forged ones included: a cursor never costs a 5xx."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from core.errors import BadInput
from core.query import SORT_FIELDS, SortField, TaskQuery, cursor_after, read_cursor, sort_key
from core.task import Task
from tests.support.core_team import MEMBER, MISSING, World

SOME = UUID(int=7)


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    label, second = world.label("bug"), world.label("docs")
    parent = world.task("Parent", priority="urgent", estimate=3.0)
    world.task("Child", parent_id=parent.id, assignee_id=MEMBER, label_ids=(label, second), status="done")
    world.task("Überfällig", due_at=datetime(2026, 1, 1, tzinfo=UTC), label_ids=(label,), description="needs COFFEE")
    return world


def found(world: World, **conditions: Any) -> list[str]:
    query = TaskQuery(**conditions)
    return sorted(task.title for task in world.state.tasks.values() if query.matches(task))


def test_without_conditions_everything_matches(world: World) -> None:
    assert len(found(world)) == 3
    assert not TaskQuery(sort="title", descending=False, limit=3, after=(False, "x", SOME)).filtered


def test_each_condition_keeps_what_it_names(world: World) -> None:
    parent = next(task for task in world.state.tasks.values() if task.title == "Parent")
    label, second = world.state.labels
    assert found(world, status=("done", "cancelled")) == ["Child"]
    assert found(world, assignee=MEMBER) == ["Child"]
    assert found(world, unassigned=True) == ["Parent", "Überfällig"]
    assert found(world, labels=(label,)) == ["Child", "Überfällig"]
    assert found(world, labels=(label, second)) == ["Child"]
    assert found(world, priority=("urgent", "low")) == ["Parent"]
    assert found(world, due_before=datetime(2026, 1, 2, tzinfo=UTC)) == ["Überfällig"]
    assert found(world, due_before=datetime(2026, 1, 1, tzinfo=UTC)) == []
    assert found(world, updated_after=parent.updated_at) == ["Child", "Überfällig"]
    assert found(world, parent=parent.id) == ["Child"]
    assert found(world, no_parent=True) == ["Parent", "Überfällig"]
    assert found(world, assignee=MISSING) == []


def test_words_are_found_in_title_and_text_whatever_their_case_and_by_the_whole_key(world: World) -> None:
    assert found(world, q="ÜBER") == ["Überfällig"]
    assert found(world, q="coffee") == ["Überfällig"]
    assert found(world, q="eng-2") == ["Child"]
    assert found(world, q="eng-") == []


def test_every_condition_counts_as_a_filter() -> None:
    conditions: dict[str, Any] = {
        "status": ("open",), "assignee": SOME, "unassigned": True, "labels": (SOME,), "priority": ("low",),
        "due_before": datetime(2026, 1, 1, tzinfo=UTC), "updated_after": datetime(2026, 1, 1, tzinfo=UTC),
        "parent": SOME, "no_parent": True, "q": "x", "archived": True,
    }  # fmt: skip
    order = {"sort", "descending", "limit", "after"}
    assert set(conditions) == set(TaskQuery.__struct_fields__) - order
    assert all(TaskQuery(**{name: value}).filtered for name, value in conditions.items())


@pytest.mark.parametrize("field", SORT_FIELDS)
def test_every_order_is_total_and_puts_missing_values_last(world: World, field: SortField) -> None:
    keys = sorted(sort_key(task, field) for task in world.state.tasks.values())
    assert len(set(keys)) == len(keys)
    assert [key[0] for key in keys] == sorted(key[0] for key in keys)


def test_priorities_sort_by_weight_and_not_by_letter(world: World) -> None:
    tasks = sorted(world.state.tasks.values(), key=lambda task: sort_key(task, "priority"))
    assert [task.priority for task in tasks] == ["none", "none", "urgent"]


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("field", SORT_FIELDS)
def test_a_cursor_gives_its_sort_key_back(world: World, field: SortField, descending: bool) -> None:
    for task in world.state.tasks.values():
        key = sort_key(task, field)
        token = cursor_after(key, field, descending=descending)
        assert token.isascii()
        assert "=" not in token
        assert read_cursor(token, field, descending=descending) == key


def test_a_cursor_of_another_order_is_refused(world: World) -> None:
    key = sort_key(next(iter(world.state.tasks.values())), "title")
    token = cursor_after(key, "title", descending=True)
    for field, descending in (("title", False), ("number", True)):
        with pytest.raises(BadInput) as refused:
            read_cursor(token, field, descending=descending)  # type: ignore[arg-type]
        assert refused.value.parameter == "cursor"


def forged(sort: str, *rest: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode([sort, True, *rest])).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("sort", "token"),
    [
        ("title", "not a cursor"),
        ("title", "é"),
        ("title", ""),
        ("title", "A"),
        ("title", forged("title", False, 5, SOME)),
        ("title", forged("title", False, "a\0b", SOME)),
        ("rank", forged("rank", False, None, SOME)),
        ("number", forged("number", False, True, SOME)),
        ("number", forged("number", False, 2**31, SOME)),
        ("priority", forged("priority", False, -(2**31) - 1, SOME)),
        ("number", forged("number", False, 1.5, SOME)),
        ("estimate", forged("estimate", False, "1", SOME)),
        ("estimate", forged("estimate", False, True, SOME)),
        ("estimate", forged("estimate", False, float("nan"), SOME)),
        ("created_at", forged("created_at", False, "2026-01-01", SOME)),
        ("due_at", forged("due_at", True, datetime(2026, 1, 1, tzinfo=UTC), SOME)),
        ("due_at", forged("due_at", True, False, SOME)),
        ("title", forged("title", True, "a", SOME)),
        ("title", forged("title", False, [["a"]], SOME)),
        ("title", base64.urlsafe_b64encode(b"\x95\xa5title\xc3\xc2" + b"\x91" * 20_000).decode()),
        ("title", forged("title", False, "a", "no id")),
        ("title", forged("colour", False, "a", SOME)),
    ],
)  # fmt: skip
def test_a_forged_cursor_is_bad_input_and_nothing_worse(sort: SortField, token: str) -> None:
    with pytest.raises(BadInput):
        read_cursor(token, sort, descending=True)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(SORT_FIELDS), st.binary(max_size=60), st.booleans())
def test_random_bytes_never_break_more_than_the_request(sort: SortField, raw: bytes, descending: bool) -> None:
    token = base64.urlsafe_b64encode(raw).decode()
    try:
        missing, value, task_id = read_cursor(token, sort, descending=descending)
    except BadInput:
        return
    assert isinstance(task_id, UUID)
    assert not missing or value == 0


plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(SORT_FIELDS), st.booleans(), plain)
def test_whatever_a_cursor_says_it_compares_with_every_task(sort: SortField, missing: bool, value: Any) -> None:
    try:
        key = read_cursor(forged(sort, missing, value, SOME), sort, descending=True)
    except BadInput:
        return
    start = datetime(2026, 1, 1, tzinfo=UTC)
    bare = Task(
        id=SOME, team_id=SOME, number=1, key="E-1", title="T", rank="a0", created_by=SOME, created_at=start,
        updated_at=start, version=1,
    )  # fmt: skip
    for task in (bare, structs.replace(bare, due_at=start, estimate=2.0)):
        assert (sort_key(task, sort) < key) in {True, False}
