"""The last release's programs beside this one's: their statements, unchanged, against the newest schema that they may
write to. Past it `installation.format` keeps them from running."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from db.pool import Connection, Pools, open_pools
from taskforge.devstack import DevStack
from tests.fixtures.foundation.reading import json_of, lines_of, value_of
from tests.fixtures.foundation.restoring import opened

pytestmark = pytest.mark.anyio

STATEMENTS: Final[dict[str, str]] = json_of("statements.json")["shapes"]
COMMITS: Final = {commit["why"]: commit for commit in lines_of("commits.jsonl")}
TABLES: Final = ("teams", "memberships", "labels", "tasks", "task_events", "relay_cursors", "idempotency_keys")
LAST_OF_FORMAT_1: Final = "taskforge_0022_erased_members"
OUTER: Final = {"begin", "commit"}  # The test's own transaction stands in for the one that the steps open.

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
async def left_behind(services: DevStack, template_database: str) -> AsyncIterator[Pools]:
    async with (
        opened(services, "foundation_commits", through=LAST_OF_FORMAT_1) as settings,
        open_pools(settings) as pools,
    ):
        yield pools


@pytest.fixture
async def writer(left_behind: Pools) -> AsyncIterator[Connection]:
    """The committer's connection in a transaction that is taken back, so that every commit meets the same data."""
    async with left_behind.writer.acquire() as connection:
        await connection.execute("begin; set local timezone = 'UTC'")
        yield connection
        await connection.execute("rollback")


def known_columns() -> dict[str, set[str]]:
    """The columns that rows had then; whatever came since is no business of an old program."""
    known: dict[str, set[str]] = {table: set() for table in TABLES}
    for commit in COMMITS.values():
        for table, rows in commit["effect"].items():
            known[table] |= {name for row in (*rows["gone"], *rows["new"]) for name in row}
    return known


KNOWN: Final = known_columns()


async def rows_of(connection: Connection) -> dict[str, set[str]]:
    """All rows with the columns of then, as JSON in one form."""
    found = {}
    for table in TABLES:
        rows = await connection.fetch(f"select to_jsonb(t)::text from {table} t")
        found[table] = {text_of({k: v for k, v in json.loads(row[0]).items() if k in KNOWN[table]}) for row in rows}
    return found


def text_of(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


async def take(connection: Connection, commit: Any) -> list[list[tuple[Any, ...]]]:
    """The answers of all steps."""
    answers = []
    for step in commit["steps"]:
        sql = STATEMENTS.get(step["sql"], step["sql"])
        rows = [] if sql in OUTER else await connection.fetch(sql, *value_of(step["arguments"]))
        answers.append([tuple(row) for row in rows])
    await connection.execute("set constraints all immediate")
    return answers


@pytest.mark.parametrize("why", COMMITS)
async def test_an_old_commit_writes_what_it_wrote(writer: Connection, why: str) -> None:
    commit, before = COMMITS[why], await rows_of(writer)
    answers = await take(writer, commit)
    after = await rows_of(writer)
    assert answers == [value_of(step["answer"]) for step in commit["steps"]]
    for table in TABLES:
        effect = commit["effect"].get(table, {"gone": [], "new": []})
        assert after[table] - before[table] == set(map(text_of, effect["new"])), table
        assert before[table] - after[table] == set(map(text_of, effect["gone"])), table


@pytest.mark.parametrize("shape", STATEMENTS)
async def test_an_old_commit_behind_a_broken_fence_writes_nothing(writer: Connection, shape: str) -> None:
    (first,) = await take(writer, COMMITS[shape])
    before = await rows_of(writer)
    (again,) = await take(writer, COMMITS[shape])
    assert [row[:2] for row in first] == [(row[0], True) for row in first]
    assert again
    assert all(row[1] is False for row in again)
    assert await rows_of(writer) == before


@pytest.mark.parametrize("shape", [shape for shape in STATEMENTS if "keys" in shape])
async def test_an_old_commit_is_told_which_keys_are_taken(writer: Connection, shape: str) -> None:
    commit = COMMITS[shape]
    await take(writer, commit)
    (again,) = await take(writer, commit)
    asked = value_of(commit["steps"][0]["arguments"])[3]
    taken = [(principal, key, fingerprint, *reply) for principal, key, _, fingerprint, *reply in asked]
    assert sorted(row[2:] for row in again) == sorted(taken)


async def test_old_reading_statements_find_what_they_found(writer: Connection) -> None:
    for read in json_of("statements.json")["reads"]:
        rows = await writer.fetch(read["sql"], *value_of(read["arguments"]))
        assert len(rows) == read["rows"] > 0, read["sql"]
        assert list(rows[0].keys()) == read["columns"], read["sql"]


async def test_the_types_of_old_rows_have_the_columns_that_old_programs_send(writer: Connection) -> None:
    for kind, columns in json_of("statements.json")["types"].items():
        found = await writer.fetch(
            "select attname || ' ' || format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum",
            kind,
        )
        assert [row[0] for row in found] == columns, kind


def test_every_shape_was_recorded() -> None:
    assert len(STATEMENTS) == 7
    assert set(STATEMENTS) <= set(COMMITS)
