"""Filters and orders."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from core.query import SORT_FIELDS, SortField, TaskQuery, sort_key
from tests.support.core_team import MEMBER, MISSING, CoreTeam

SOME = UUID(int=7)


@pytest.fixture(scope="module")
def team() -> CoreTeam:
    team = CoreTeam()
    label, second = team.label("bug"), team.label("docs")
    parent = team.task("Parent", priority="urgent", estimate=3.0)
    team.task("Child", parent_id=parent.id, assignee_id=MEMBER, label_ids=(label, second), status="done")
    team.task("Überfällig", due_at=datetime(2026, 1, 1, tzinfo=UTC), label_ids=(label,), description="needs COFFEE")
    return team


def found(team: CoreTeam, **conditions: Any) -> list[str]:
    query = TaskQuery(**conditions)
    return sorted(task.title for task in team.state.tasks.values() if query.matches(task))


def test_without_conditions_everything_matches(team: CoreTeam) -> None:
    assert len(found(team)) == 3
    assert not TaskQuery(sort="title", descending=False, limit=3, after=(False, "x", SOME)).filtered


def test_each_condition_keeps_what_it_names(team: CoreTeam) -> None:
    parent = next(task for task in team.state.tasks.values() if task.title == "Parent")
    label, second = team.state.labels
    assert found(team, status=("done", "cancelled")) == ["Child"]
    assert found(team, assignee=MEMBER) == ["Child"]
    assert found(team, unassigned=True) == ["Parent", "Überfällig"]
    assert found(team, labels=(label,)) == ["Child", "Überfällig"]
    assert found(team, labels=(label, second)) == ["Child"]
    assert found(team, priority=("urgent", "low")) == ["Parent"]
    assert found(team, due_before=datetime(2026, 1, 2, tzinfo=UTC)) == ["Überfällig"]
    assert found(team, due_before=datetime(2026, 1, 1, tzinfo=UTC)) == []
    assert found(team, updated_after=parent.updated_at) == ["Child", "Parent", "Überfällig"]
    assert found(team, parent=parent.id) == ["Child"]
    assert found(team, no_parent=True) == ["Parent", "Überfällig"]
    assert found(team, assignee=MISSING) == []


def test_words_are_found_in_title_and_text_whatever_their_case_and_by_the_whole_key(team: CoreTeam) -> None:
    assert found(team, q="ÜBER") == ["Überfällig"]
    assert found(team, q="coffee") == ["Überfällig"]
    assert found(team, q="eng-2") == ["Child"]
    assert found(team, q="eng-") == []


def test_every_condition_counts_as_a_filter() -> None:
    conditions: dict[str, Any] = {
        "status": ("open",), "columns": (SOME,), "assignee": SOME, "unassigned": True, "labels": (SOME,),
        "priority": ("low",),
        "due_before": datetime(2026, 1, 1, tzinfo=UTC), "updated_after": datetime(2026, 1, 1, tzinfo=UTC),
        "external_id": "7", "external_source": "jira", "parent": SOME, "no_parent": True, "q": "x", "archived": True,
    }  # fmt: skip
    order = {"sort", "descending", "limit", "after"}
    assert set(conditions) == set(TaskQuery.__struct_fields__) - order
    assert all(TaskQuery(**{name: value}).filtered for name, value in conditions.items())


@pytest.mark.parametrize("field", SORT_FIELDS)
def test_every_order_is_total_and_puts_missing_values_last(team: CoreTeam, field: SortField) -> None:
    keys = sorted(sort_key(task, field) for task in team.state.tasks.values())
    assert len(set(keys)) == len(keys)
    assert [key[0] for key in keys] == sorted(key[0] for key in keys)


def test_priorities_sort_by_weight_and_not_by_letter(team: CoreTeam) -> None:
    tasks = sorted(team.state.tasks.values(), key=lambda task: sort_key(task, "priority"))
    assert [task.priority for task in tasks] == ["none", "none", "urgent"]
