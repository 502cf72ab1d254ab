"""The shapes of the commit statement: the smallest that holds what a commit changes."""

import re

import pytest

from db.commit_sql import (
    CHANGEABLE,
    KEY_COLUMNS,
    PLACE,
    ROW_COLUMNS,
    SHAPES,
    SHARED_BY_ROWS,
    SHARED_BY_TASKS,
    TEXT,
    Shape,
    shape_for,
    statement_of,
)
from db.journal_sql import TASK_COLUMNS


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
    numbers = {int(n) for n in re.findall(r"\$(\d+)", statement)}
    columns = len(shape.changed) + len(SHARED_BY_TASKS.intersection(shape.changed))
    keys, creates = len(KEY_COLUMNS) * shape.keys, (2 + len(TASK_COLUMNS)) * shape.creates
    assert numbers == set(range(1, 4 + len(ROW_COLUMNS) + len(SHARED_BY_ROWS) + keys + columns + creates + 1))
    assert ("idempotency_keys" in statement) == shape.keys
    assert ("delete from" in statement) == shape.creates
