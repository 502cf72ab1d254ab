"""The shapes of the commit statement: the smallest that holds what a commit changes."""

import re

import pytest

from db.commit_sql import CHANGEABLE, PLACE, SHAPES, TEXT, Shape, shape_for, statement_of


@pytest.mark.parametrize(
    ("touched", "columns"),
    [
        ((), TEXT),
        (("title",), TEXT),
        (("title", "description", "updated_at"), TEXT),
        (("rank",), PLACE),
        (("status", "completed_at", "rank"), PLACE),
        (("title", "status"), CHANGEABLE),
        (("assignee_id",), CHANGEABLE),
        (("title", "number"), TEXT),
    ],
)
@pytest.mark.parametrize("keys", [False, True])
def test_a_commit_has_the_smallest_shape_with_all_its_columns(
    touched: tuple[str, ...], columns: tuple[str, ...], *, keys: bool
) -> None:
    assert shape_for(touched, keys=keys, creates=False) == Shape(columns, keys, creates=False)
    assert shape_for(touched, keys=keys, creates=True) == Shape(CHANGEABLE, keys=True, creates=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_parameter_is_used_and_counted(shape: Shape) -> None:
    statement = statement_of(shape)
    assert {int(n) for n in re.findall(r"\$(\d+)", statement.text)} == set(range(1, statement.parameters + 1))
    assert ("idempotency_keys" in statement.text) == shape.keys
    assert ("delete from" in statement.text) == shape.creates
