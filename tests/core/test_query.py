"""Filters and orders."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from core.query import SORT_FIELDS, TIMES, SortField, TaskQuery, sort_key
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
    assert found(team, assignee=(MEMBER,)) == ["Child"]
    assert found(team, assignee=(None,)) == ["Parent", "Überfällig"]
    assert found(team, labels=(label,)) == ["Child", "Überfällig"]
    assert found(team, labels=(label, second)) == ["Child"]
    assert found(team, priority=("urgent", "low")) == ["Parent"]
    assert found(team, due_before=datetime(2026, 1, 2, tzinfo=UTC)) == ["Überfällig"]
    assert found(team, due_before=datetime(2026, 1, 1, tzinfo=UTC)) == []
    assert found(team, updated_after=parent.updated_at) == ["Child", "Parent", "Überfällig"]
    assert found(team, changed_since=parent.version) == ["Child", "Überfällig"]
    assert found(team, changed_since=parent.version - 1) == ["Child", "Parent", "Überfällig"]
    assert found(team, parent=(parent.id,)) == ["Child"]
    assert found(team, parent=(None,)) == ["Parent", "Überfällig"]
    assert found(team, assignee=(MISSING,)) == []


def test_words_are_found_in_title_and_text_whatever_their_case_and_by_the_whole_key(team: CoreTeam) -> None:
    assert found(team, q="ÜBER") == ["Überfällig"]
    assert found(team, q="coffee") == ["Überfällig"]
    assert found(team, q="eng-2") == ["Child"]
    assert found(team, q="eng-") == []


def test_several_words_must_all_be_there_in_any_order_and_blanks_around_them_mean_nothing(team: CoreTeam) -> None:
    assert found(team, q="  coffee ") == ["Überfällig"]
    assert found(team, q="coffee\t fällig") == ["Überfällig"]
    assert found(team, q="coffee absent") == []
    assert found(team, q="ENG-2 child") == ["Child"]
    assert found(team, q="ENG-2 coffee") == []
    assert found(team, q="\u200b") == [], "what has no word finds nothing"


def test_several_values_mean_any_and_negation_leaves_out_those_that_have_one(team: CoreTeam) -> None:
    parent = next(task for task in team.state.tasks.values() if task.title == "Parent")
    label, second = team.state.labels
    assert found(team, status_not=("done", "cancelled")) == ["Parent", "Überfällig"]
    assert found(team, assignee=(MEMBER, None)) == ["Child", "Parent", "Überfällig"]
    assert found(team, assignee_not=(MEMBER,)) == ["Parent", "Überfällig"]
    assert found(team, assignee_not=(None,)) == ["Child"]
    assert found(team, assignee_not=(None, MEMBER)) == []
    assert found(team, priority_not=("none",)) == ["Parent"]
    assert found(team, parent=(parent.id, None)) == ["Child", "Parent", "Überfällig"]
    assert found(team, parent_not=(parent.id,)) == ["Parent", "Überfällig"]
    assert found(team, parent_not=(None,)) == ["Child"]
    assert found(team, labels=(None,)) == ["Parent"]
    assert found(team, labels_not=(second,)) == ["Parent", "Überfällig"]
    assert found(team, labels_not=(None,)) == ["Child", "Überfällig"]
    assert found(team, labels_not=(None, second)) == ["Überfällig"]
    assert found(team, labels=(label,), labels_not=(second,)) == ["Überfällig"]


def test_words_are_found_in_comments_and_not_across_parts(team: CoreTeam) -> None:
    task = next(task for task in team.state.tasks.values() if task.title == "Parent")
    assert TaskQuery(q="resume").matches(task, ["My RÉSUMÉ"])
    assert not TaskQuery(q="resume").matches(task, ["re", "sume"])
    assert not TaskQuery(q="t\x1f").matches(task, ["x"])


def test_every_condition_counts_as_a_filter() -> None:
    conditions: dict[str, Any] = {
        "column": (SOME,), "column_not": (SOME,),
        "status": ("open",), "status_not": ("open",), "assignee": (SOME,), "assignee_not": (None,), "labels": (SOME,),
        "labels_not": (None,), "priority": ("low",), "priority_not": ("low",), "parent": (SOME,), "parent_not": (None,),
        **dict.fromkeys(TIMES, datetime(2026, 1, 1, tzinfo=UTC)), "overdue": True, "changed_since": 7,
        "external_id": "7", "external_source": "jira", "q": "x", "archived": True,
    }  # fmt: skip
    order = {"sort", "descending", "limit", "after", "zone", "now"}
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
