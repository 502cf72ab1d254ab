"""Every column that can hold text says what it holds, and what empties it: a new one fails until it does."""

from typing import Any, get_args

import pytest

from db.redaction.columns import COLUMNS, NOTHING, Subject
from tests.support.catalogue import tables

pytestmark = pytest.mark.anyio

KINDS = ("text", "character varying", "json", "jsonb", "bytea", "inet", "cidr", "text[]", "json[]", "bytea[]")
_COLUMNS = """
select attname, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null) as kind
from pg_attribute join pg_type t on t.oid = atttypid
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum
"""
OTHER_KINDS = {
    "uuid", "uuid[]", "bigint", "integer", "smallint", "boolean", "double precision", "date",
    "timestamp with time zone", "timestamp with time zone[]",
}  # fmt: skip
"""Of which no value is text: a column of any other type, ours or of an extension, has to be looked at."""


async def catalogue(superuser: Any) -> dict[str, dict[str, str]]:
    """The columns of all tables that can hold text, with their types."""
    found = {}
    for table in await tables(superuser):
        columns = {row["attname"]: row["kind"] for row in await superuser.fetch(_COLUMNS, table)}
        found[table] = {name: kind for name, kind in columns.items() if kind not in OTHER_KINDS}
    return {table: columns for table, columns in found.items() if columns}


async def test_every_column_with_text_is_classified_and_nothing_else_is(superuser: Any) -> None:
    found = await catalogue(superuser)
    assert {kind for columns in found.values() for kind in columns.values()} <= set(KINDS)
    assert {table: set(columns) for table, columns in found.items()} == {
        table: set(columns) for table, columns in COLUMNS.items()
    }, "say in db/redaction/columns.py what the new column holds, and have it emptied"


def test_whatever_tells_of_somebody_ends_with_somebody() -> None:
    for table, columns in COLUMNS.items():
        for name, column in columns.items():
            assert (column.holds == "nothing") == (column.ends_with == ()), f"{table}.{name}"
            assert set(column.ends_with) <= set(get_args(Subject))
    assert NOTHING.holds == "nothing"


async def test_a_new_column_with_text_is_found(superuser: Any) -> None:
    await superuser.execute("alter table users add column motto varchar(20), add column lucky integer")
    with pytest.raises(AssertionError, match=r"columns\.py"):
        await test_every_column_with_text_is_classified_and_nothing_else_is(superuser)
