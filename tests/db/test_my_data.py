"""What an export has of a user: of every table something or a reason, nothing of anybody else, and little at a time."""

import io
import json
import re
import tracemalloc
import zipfile
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids

from db.my_data import LEFT_OUT, LEFT_OUT_COLUMNS, SECTIONS
from db.pool import Pools
from streams.operations.archive import MANIFEST, README, archive
from tests.support.catalogue import TEAM, VICTIM, fill, tables

pytestmark = pytest.mark.anyio

OF_USERS = re.compile(r"(^|_)(user_id|author_id|actor_id|assignee_id|created_by|invited_by|principal|email)$")
"""Columns that say whose a row is."""
NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)


async def files_of(pools: Pools, user_id: UUID) -> dict[str, Any]:
    data = b"".join([chunk async for chunk in archive(pools.api, user_id, NOW)])
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        assert files.testzip() is None
        return {
            name: json.loads(files.read(name)) if name.endswith(".json") else files.read(name).decode()
            for name in files.namelist()
        }


async def acted(superuser: "asyncpg.Connection[Any]") -> None:
    """All events are the victim's. The journal itself lets nobody say so afterwards, unless its triggers rest."""
    async with superuser.transaction():
        await superuser.execute("set local session_replication_role = replica")
        await superuser.execute("update task_events set actor_id = $1", VICTIM)


async def about_people(superuser: "asyncpg.Connection[Any]") -> set[str]:
    """Tables with a column that says whose a row is."""
    rows = await superuser.fetch(
        "select table_name, column_name from information_schema.columns where table_schema = 'public'"
    )
    found = {row["table_name"] for row in rows if OF_USERS.search(row["column_name"])}
    return found & set(await tables(superuser)) | {"users"}


async def test_every_table_with_a_user_in_it_is_exported_or_left_out_for_a_reason(
    superuser: "asyncpg.Connection[Any]",
) -> None:
    exported = {table for section in SECTIONS for table in section.tables}
    people = await about_people(superuser)
    assert people - exported - LEFT_OUT.keys() == set(), "say what of these an export has, or why nothing"
    assert exported - people == set()
    assert LEFT_OUT.keys() - people == set()
    assert all(LEFT_OUT.values())
    await superuser.execute("create table planted (id uuid, author_id uuid)")
    assert "planted" in await about_people(superuser)


async def test_every_column_of_an_exported_table_is_exported_or_left_out_for_a_reason(
    superuser: "asyncpg.Connection[Any]",
) -> None:
    queries = dict[str, str]()
    for section in SECTIONS:
        for table in section.tables:
            queries[table] = queries.get(table, "") + section.query
    rows = await superuser.fetch(
        "select table_name, column_name from information_schema.columns where table_schema = 'public'"
    )
    columns = {f"{row['table_name']}.{row['column_name']}" for row in rows if row["table_name"] in queries}
    named = {
        one
        for one in columns
        if "t.*" in queries[one.partition(".")[0]]
        or re.search(rf"\b{one.partition('.')[2]}\b", queries[one.partition(".")[0]])
    }
    assert columns - named - LEFT_OUT_COLUMNS.keys() == set()
    assert LEFT_OUT_COLUMNS.keys() - columns == set()


async def test_each_section_reads_what_its_user_has_and_says_so(
    pools: Pools, superuser: "asyncpg.Connection[Any]"
) -> None:
    await fill(superuser)
    await acted(superuser)
    files = await files_of(pools, VICTIM)
    assert set(files) == {MANIFEST, README, *(f"{section.name}.json" for section in SECTIONS)}
    assert {name: len(files[name]) for name in files if name not in (MANIFEST, README)} == dict.fromkeys(
        (f"{section.name}.json" for section in SECTIONS), 1
    )
    manifest = files[MANIFEST]
    assert manifest["files"] == dict.fromkeys((f"{section.name}.json" for section in SECTIONS), 1)
    assert manifest["user_id"] == str(VICTIM)
    for section in SECTIONS:
        assert f"{section.name}.json" in files[README]
        assert section.about in files[README]


async def test_it_has_no_secret_and_nothing_of_anybody_else(pools: Pools, superuser: "asyncpg.Connection[Any]") -> None:
    await fill(superuser)
    hashes = await superuser.fetch("select encode(token_hash, 'hex') as hash from api_keys")
    await superuser.execute("update users set password_hash = 'CANARY-PASSWORD'")
    await superuser.execute("update objects set sha256 = decode(repeat('ff', 32), 'hex')")
    text = json.dumps(await files_of(pools, VICTIM))
    for secret in ("CANARY-PASSWORD", *(row["hash"] for row in hashes)):
        assert secret not in text
    stranger = await files_of(pools, uuids.uuid7())
    assert {name: entries for name, entries in stranger.items() if name not in (MANIFEST, README) and entries} == {}


async def test_teams_that_were_left_give_only_that_they_were_left(
    pools: Pools, superuser: "asyncpg.Connection[Any]"
) -> None:
    await fill(superuser)
    await acted(superuser)
    await superuser.execute("delete from memberships")
    files = await files_of(pools, VICTIM)
    for name in ("memberships", "tasks", "comments", "events"):
        assert files[f"{name}.json"] == [], name
    assert len(files["former_memberships.json"]) == 1


EVENTS = """
insert into task_events (team_id, seq, type, subject_id, actor_id, traceparent, at, salt, digest, payload)
select $1, n, 'task.updated', $2, $2, '', now(), decode(repeat('00', 16), 'hex'), decode(repeat('00', 32), 'hex'),
       json_build_object('title', repeat(md5(n::text), 60))::text
from generate_series(2, $3::int) n
"""


async def test_many_events_are_never_in_memory_together(pools: Pools, superuser: "asyncpg.Connection[Any]") -> None:
    await fill(superuser)
    await superuser.execute(EVENTS, TEAM, VICTIM, 25_000)
    await superuser.execute("update teams set seq = 25_000")
    await acted(superuser)
    written, parts = 0, list[bytes]()
    tracemalloc.start()
    try:
        async for chunk in archive(pools.api, VICTIM, NOW):
            written += len(chunk)
            parts.append(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = await superuser.fetchval("select sum(octet_length(payload)) from task_events")
    assert size > 38_000_000
    assert written > 500_000
    assert peak < 6_000_000 + 2 * written
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as files:
        assert [event["seq"] for event in json.loads(files.read("events.json"))] == list(range(1, 25_001))
