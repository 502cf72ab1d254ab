"""The shapes of the commit statement: the smallest that holds what a commit changes."""

import re

import pytest

from db.journal.commit_sql import (
    CHANGEABLE,
    KEY_COLUMNS,
    PLACE,
    ROW_COLUMNS,
    SETTINGS,
    SHAPES,
    TASK_ROW,
    TEAM_COLUMNS,
    TEXT,
    Shape,
    shape_for,
    statement_of,
)
from db.journal.nouns import NOUNS
from db.journal.sql import TASK_COLUMNS
from db.pool import Pools
from db.transaction import reading


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
    assert shape_for(touched, keys=keys, creates=False, beside_tasks=True) == SHAPES[-1]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_parameter_is_used_and_counted(shape: Shape) -> None:
    statement = statement_of(shape)
    numbers = {int(n) for n in re.findall(r"\$(\d+)", statement)}
    beside = (1 + 3 * len(NOUNS)) * shape.beside_tasks
    assert numbers == set(range(1, 3 + shape.keys + 3 * shape.creates + beside + 1))
    assert ("idempotency_keys" in statement) == shape.keys
    assert ("delete from" in statement) == shape.creates


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("commit_team_2", TEAM_COLUMNS),
        ("commit_event_2", ROW_COLUMNS),
        ("commit_key", KEY_COLUMNS),
        ("commit_text", TEXT),
        ("commit_place_2", PLACE),
        ("commit_task_3", TASK_ROW),
        ("commit_settings_3", SETTINGS),
        *((noun.kind, noun.columns) for noun in NOUNS),
    ],
)
async def test_rows_travel_in_the_order_of_their_types(pools: Pools, kind: str, names: tuple[str, ...]) -> None:
    async with reading(pools.writer, None) as rows:
        found = await rows.fetch(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = $1::text::regclass order by attnum",
            kind,
        )
    assert tuple(row[0] for row in found) == names
    if set(names) <= set(TASK_COLUMNS):
        assert [row[1].replace("timestamp with time zone", "timestamptz") for row in found] == [
            TASK_COLUMNS[name] for name in names
        ]
