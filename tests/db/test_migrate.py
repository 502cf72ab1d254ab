"""Migrations forwards, back and side by side, and the tables' agreement with Piccolo's classes."""

import asyncio
import hashlib
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from piccolo.table import Table

from core.errors import StorageUnavailable
from db import migrate as runner
from db import tables, work_tables
from db.installation import FORMAT
from db.migrate import back, check, finish, migrate, unfinished
from db.scram import scram_verifier
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support import databases

pytestmark = pytest.mark.anyio

ALL = tuple(sorted(path.stem for path in runner.FOLDER.glob("*.py")))
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def empty(services: DevStack, template_database: str) -> AsyncIterator[str]:
    """The superuser's URL of a database without anything in it."""
    await databases.create(services, "migrating")
    yield services.postgres.url_of("migrating")
    await databases.drop(services, "migrating")


async def fetch(url: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
    session = await asyncpg.connect(url)
    try:
        return await session.fetch(query, *arguments)
    finally:
        await session.close()


async def run(url: str, script: str) -> None:
    session = await asyncpg.connect(url)
    try:
        await session.execute(script)
    finally:
        await session.close()


async def shape(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the migrations made, in a form that can be compared."""
    queries = {
        "columns": "select table_name, column_name, data_type, is_nullable, column_default, collation_name"
        " from information_schema.columns where table_schema = 'public' order by 1, 2",
        "indexes": "select indexdef from pg_indexes where schemaname = 'public' order by 1",
        "constraints": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
        " where connamespace = 'public'::regnamespace order by 1, 2",
        "policies": "select tablename, policyname, roles, cmd, qual, with_check from pg_policies order by 1, 2",
        "security": "select relname, relrowsecurity, relforcerowsecurity, relowner::regrole::text, relacl::text"
        " from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1",
        "triggers": "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by 1",
        "functions": "select proname, proacl::text from pg_proc where pronamespace = 'public'::regnamespace order by 1",
        "domains": "select t.typname, format_type(t.typbasetype, t.typtypmod), t.typcollation::regcollation::text,"
        " pg_get_constraintdef(c.oid) from pg_type t left join pg_constraint c on c.contypid = t.oid"
        " where t.typnamespace = 'public'::regnamespace and t.typtype = 'd' order by 1, 4",
        "rows": "select attrelid::regclass::text, attname, format_type(atttypid, atttypmod) from pg_attribute"
        " join pg_class c on c.oid = attrelid and c.relkind = 'c' and c.relnamespace = 'public'::regnamespace"
        " order by 1, attnum",
    }
    return {name: [tuple(row) for row in await fetch(url, query)] for name, query in queries.items()}


async def test_forwards_back_and_forwards_again_ends_where_it_began(empty: str) -> None:
    assert await check(empty) == list(ALL)
    report = await migrate(empty)
    assert report.ran == report.applied == ALL
    assert await check(empty) == []
    first = await shape(empty)
    assert (await back(empty, 1)).ran == (ALL[-1],)
    assert await check(empty) == [ALL[-1]]
    assert (await migrate(empty)).ran == (ALL[-1],)
    assert (await back(empty, 99)).applied == ()
    left = await shape(empty)
    assert {row[0] for row in left["columns"]} == {"migration"}
    assert left["policies"] == left["functions"] == left["domains"] == left["rows"] == []
    assert (await migrate(empty)).ran == ALL
    assert await shape(empty) == first


NEWEST = 6


@pytest.mark.parametrize("newest", [NEWEST, pytest.param(len(ALL), marks=pytest.mark.proof)])
async def test_each_step_back_alone_can_be_taken_forwards_again(empty: str, newest: int) -> None:
    """Those that are older than the newest few stand as they are: to take back all of them costs their square."""
    await migrate(empty)
    for steps in range(1, newest + 1):
        before = await shape(empty)
        assert len((await back(empty, steps)).ran) == steps
        await migrate(empty)
        assert await shape(empty) == before


TEAM = UUID("01920000-0000-7000-8000-000000000001")
HISTORIES, COLUMNS = "taskforge_0005_histories", "taskforge_0023_columns"
SOME_ROWS = r"""
insert into users (id, email, name, created_at, updated_at)
values ('01920000-0000-7000-8000-00000000000a', 'ada@example.org', 'Ada', now(), now());
insert into teams (id, seq, name, key, wip_limits, created_by, created_at, updated_at, version)
select t, 2, 'Größe', 'ENG', '{"open": 3}', t, now(), now(), 1
from (select '01920000-0000-7000-8000-000000000001'::uuid) as one (t);
insert into tasks (team_id, id, number, title, description, status, priority, label_ids, estimate, blocked_by, rank,
                   external_id, external_source, comment_count, attachment_count, created_by, created_at, updated_at,
                   version)
select id, '01920000-0000-7000-8000-000000000002', 1, 'Ünïcode', '', 'in_review', 'high', array[id], 0.5, '{}', 'a0',
       '17', 'jira', 0, 0, id, now(), now(), 2
from teams;
insert into task_events (team_id, seq, type, subject_id, actor_id, payload, traceparent, at)
select id, n, 'dev.taskforge.task.created', id, id, '{"task":  {"title":"\u00dcn\u0000"},"a":1,"a":2}', '', now()
from teams, generate_series(1, 2) as n;
insert into memberships (team_id, user_id, role, name, joined_at)
select t.id, u.id, 'owner', 'Ada', now() from teams t, users u;
insert into inbox (consumer, event_id)
select 'notifications', id from (
    select id || ':2' from teams union select id || ':2:2' from teams union select 'of somebody else:2'
) as ids (id);
insert into notifications (user_id, id, team_id, kind, event_id, created_at)
select u.id, t.id, t.id, 'task.assigned', t.id || ':2', now() from teams t, users u;
"""


async def test_every_row_survives_the_last_steps_forth_and_back_to_the_byte(empty: str) -> None:
    async def rows() -> list[str]:
        tables = ("users", "teams", "memberships", "tasks", "task_events", "inbox", "notifications")
        return [row[0] for table in tables for row in await fetch(empty, f"select t::text from {table} t order by 1")]

    steps = len(ALL) - ALL.index(COLUMNS)
    await migrate(empty)
    await back(empty, steps)
    await run(empty, SOME_ROWS.replace("|| ':2'", "|| ':1:2'"))  # Since 0005, ids name the epoch.
    before = await rows()
    assert len(before) == 10
    await migrate(empty)
    assert len(await rows()) == 10
    await back(empty, steps)
    assert await rows() == before


async def test_rows_of_the_release_before_get_salts_digests_and_ids_with_an_epoch(empty: str) -> None:
    await migrate(empty)
    await back(empty, len(ALL) - ALL.index(HISTORIES))
    await run(empty, SOME_ROWS)
    await migrate(empty)
    events = await fetch(empty, "select payload, salt, digest, actor_kind, via, schema_version from task_events")
    assert len({row["salt"] for row in events}) == len(events) == 2
    for row in events:
        assert len(row["salt"]) == 16
        assert row["digest"] == hashlib.sha256(row["salt"] + row["payload"].encode()).digest()
        assert (row["actor_kind"], row["via"], row["schema_version"]) == ("user", None, 1)
    seen = await fetch(empty, "select event_id from inbox order by 1")
    assert [row[0] for row in seen] == [f"{TEAM}:1:2", f"{TEAM}:2:2", "of somebody else:2"]
    assert (await fetch(empty, "select event_id from notifications"))[0][0] == f"{TEAM}:1:2"
    assert await fetch(empty, "select * from team_epochs") == []


async def test_a_team_whose_history_was_rewritten_before_keeps_its_events_in_the_first_epoch(empty: str) -> None:
    await migrate(empty)
    await back(empty, len(ALL) - ALL.index(HISTORIES))
    await run(empty, SOME_ROWS + "update teams set epoch = 3;")
    await migrate(empty)
    assert [tuple(row) for row in await fetch(empty, "select epoch, from_seq from team_epochs")] == [(3, 3)]


async def test_the_installation_says_which_history_the_database_is_on(empty: str) -> None:
    await migrate(empty)
    (row,) = await fetch(empty, "select * from installation")
    (real,) = await fetch(
        empty,
        "select system_identifier, timeline_id, d.oid::bigint, 'task_events'::regclass::oid::bigint"
        " from pg_control_system(), pg_control_checkpoint(), pg_database d where datname = current_database()",
    )
    assert row["format"] == FORMAT
    assert tuple(row)[2:] == tuple(real)


async def test_an_owner_who_may_not_read_the_control_file_migrates_all_the_same(services: DevStack, empty: str) -> None:
    await migrate(empty)
    owner = services.role_url("taskforge_owner", "migrating")
    await back(owner, len(ALL) - ALL.index(HISTORIES))
    await run(empty, "revoke execute on function pg_control_system(), pg_control_checkpoint() from public")
    await migrate(owner)
    (row,) = await fetch(empty, "select * from installation")
    assert (row["system_identifier"], row["timeline"]) == (None, None)
    assert row["database_oid"] > 0
    assert row["journal_oid"] > 0


PEOPLE_ROWS = """
insert into users (id, email, name, created_at, updated_at)
values ('01920000-0000-7000-8000-000000000003', 'Ada@Größe.example', 'Ada', now(), now());
insert into sessions (id, user_id, created_at, last_used_at, expires_at, revoked_at, ip)
select '01920000-0000-7000-8000-000000000004', id, now(), now(), now(), now(), '2001:db8::1' from users;
insert into refresh_tokens (id, token_hash, session_id, user_id, issued_at, expires_at)
select '01920000-0000-7000-8000-000000000005', sha256('token'), id, user_id, now(), now() from sessions;
"""
OUTBOX_ROWS = """
insert into outbox (id, topic, key, payload, discard, traceparent, created_at)
select uuidv7(), 'taskforge.mail.v1', 'key', '{}', false, '', now() from generate_series(1, 3)
"""


async def test_people_survive_the_way_back_from_the_outbox_which_is_empty_when_it_comes_again(empty: str) -> None:
    async def people() -> list[str]:
        known = "id, email, name, created_at"  # What later migrations add is not there on the way back.
        tables = {"users": known, "sessions": "*", "refresh_tokens": "*"}
        return [str(row) for table, what in tables.items() for row in await fetch(empty, f"select {what} from {table}")]

    await migrate(empty)
    session = await asyncpg.connect(empty)
    try:
        await session.execute(PEOPLE_ROWS + OUTBOX_ROWS)
    finally:
        await session.close()
    before = await people()
    assert len(before) == 3
    steps = len(ALL) - ALL.index("taskforge_0006_outbox")
    assert (await back(empty, steps)).ran[-1] == "taskforge_0006_outbox"
    assert await people() == before
    assert (await fetch(empty, "select to_regclass('outbox')"))[0][0] is None
    await migrate(empty)
    assert await people() == before
    await fetch(empty, OUTBOX_ROWS)
    assert [row[0] for row in await fetch(empty, "select position from outbox order by position")] == [1, 2, 3]


async def test_migrating_twice_changes_nothing(empty: str) -> None:
    await migrate(empty)
    assert (await migrate(empty)).ran == ()


async def test_many_processes_may_migrate_at_once(empty: str) -> None:
    reports = await asyncio.gather(*(migrate(empty) for _ in range(5)))
    assert sorted(report.ran for report in reports) == [()] * 4 + [ALL]


async def test_the_owner_may_migrate_without_being_superuser(services: DevStack, empty: str) -> None:
    await migrate(empty)
    owner = services.role_url("taskforge_owner", "migrating")
    assert (await back(owner, len(ALL))).applied == ()
    assert (await migrate(owner)).ran == ALL
    owners = await fetch(empty, "select distinct tableowner from pg_tables where schemaname = 'public'")
    assert [row[0] for row in owners] == ["taskforge_owner"]


async def test_a_failing_migration_leaves_no_trace(empty: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for source in runner.FOLDER.iterdir():
        if source.is_file():
            (tmp_path / source.name).write_bytes(source.read_bytes())
    code = (tmp_path / f"{ALL[0]}.py").read_text()
    (tmp_path / "taskforge_9999_broken.py").write_text(code)
    (tmp_path / "taskforge_9999_broken.up.sql").write_text("create table half (id int); select 1 / 0;")
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty)
    assert await check(empty) == ["taskforge_9999_broken"]
    assert (await fetch(empty, "select to_regclass('half')"))[0][0] is None


@pytest.fixture
def with_contract_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A migration after all others that lets something new be written, once no older program runs."""
    for source in runner.FOLDER.iterdir():
        if source.is_file():
            (tmp_path / source.name).write_bytes(source.read_bytes())
    name = "taskforge_9999_new_kinds"
    (tmp_path / f"{name}.py").write_text((tmp_path / f"{ALL[0]}.py").read_text())
    (tmp_path / f"{name}.up.sql").write_text("create table of_tomorrow (id int);")
    (tmp_path / f"{name}.finish.sql").write_text(
        "set local role taskforge_owner; update installation set format = format + 1; reset role;"
    )
    (tmp_path / f"{name}.down.sql").write_text("drop table of_tomorrow; update installation set format = format - 1;")
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    return name


async def format_of(url: str) -> int:
    return int((await fetch(url, "select format from installation"))[0][0])


async def finished_before(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every migration but the last one with its contract step, which from now on wait for `finish`."""
    await migrate(url)
    await back(url, 1)
    monkeypatch.setattr(runner, "FINISH_AT_ONCE", False)


async def test_a_contract_step_waits_until_the_migration_is_finished(
    empty: str, with_contract_step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [*ALL, with_contract_step]
    await finished_before(empty, monkeypatch)
    assert list((await migrate(empty)).applied) == before
    assert (await check(empty), await unfinished(empty), await format_of(empty)) == ([], [with_contract_step], FORMAT)
    reports = await asyncio.gather(*(finish(empty) for _ in range(3)))
    assert sorted(report.ran for report in reports) == [(), (), (with_contract_step,)]
    assert (await check(empty), await unfinished(empty), await format_of(empty)) == ([], [], FORMAT + 1)
    assert (await migrate(empty)).ran == ()
    assert (await back(empty, 1)).ran == (with_contract_step,)
    assert (await check(empty), await unfinished(empty), await format_of(empty)) == ([with_contract_step], [], FORMAT)
    await migrate(empty)
    assert await unfinished(empty) == [with_contract_step]


async def test_until_the_first_release_a_contract_step_runs_at_once(empty: str, with_contract_step: str) -> None:
    await migrate(empty)
    assert (await unfinished(empty), await format_of(empty)) == ([], FORMAT + 1)


async def test_a_failing_contract_step_leaves_the_migration_and_may_be_tried_again(
    empty: str, with_contract_step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished_before(empty, monkeypatch)
    await migrate(empty)
    step = runner.FOLDER / f"{with_contract_step}.finish.sql"
    good = step.read_text()
    step.write_text("update installation set format = 7; select 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await finish(empty)
    assert (await unfinished(empty), await format_of(empty)) == ([with_contract_step], FORMAT)
    step.write_text(good)
    await finish(empty)
    assert await format_of(empty) == FORMAT + 1


async def test_the_program_knows_the_format_that_its_own_migrations_lead_to(empty: str) -> None:
    await migrate(empty)
    await finish(empty)
    assert await format_of(empty) == FORMAT


async def test_passwords_are_set_and_let_the_role_in(services: DevStack, empty: str) -> None:
    await migrate(empty, passwords=services.secrets.role_passwords)
    for role in services.secrets.role_passwords:
        rows = await fetch(services.role_url(role, "migrating"), "select current_user")
        assert rows[0][0] == role


async def test_only_verifiers_reach_the_server() -> None:
    """The example of RFC 7677, section 3."""
    salt = bytes.fromhex("5b6d99689d123 58ea0e04b14da1b1bb2".replace(" ", ""))
    verifier = scram_verifier("pencil", salt)
    assert re.fullmatch(r"SCRAM-SHA-256\$4096:[\w+/=]+\$[\w+/=]{44}:[\w+/=]{44}", verifier)
    assert "pencil" not in verifier
    assert scram_verifier("pencil") != scram_verifier("pencil")
    for bad in ("", "schlüssel", "new\nline"):
        with pytest.raises(ValueError, match="ASCII"):
            scram_verifier(bad)


async def test_an_unreachable_server_is_storage_unavailable() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # Held, but nobody listens.
        with pytest.raises(StorageUnavailable):
            await migrate(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none")


async def test_every_migration_begins_with_a_lock_timeout() -> None:
    for script in runner.FOLDER.glob("*.sql"):
        assert script.read_text().startswith("set local lock_timeout = "), script.name
    for module in runner.FOLDER.glob("*.py"):
        assert not re.search(
            r"^(from|import) (core|db|actors|streams|api|taskforge)\b", module.read_text(), re.MULTILINE
        )
        assert all(module.with_suffix(f".{way}.sql").exists() for way in ("up", "down"))


async def test_piccolos_own_command_line_runs_the_same_migrations(empty: str) -> None:
    async def piccolo(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "piccolo.main", "migrations", *arguments, cwd=ROOT,
            env={**os.environ, "PICCOLO_CONF": "db.piccolo_conf", "TASKFORGE_DATABASE__OWNER_URL": empty},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    await piccolo("forwards", "taskforge")
    assert await check(empty) == []
    made = await shape(empty)
    await back(empty, 99)
    await migrate(empty)
    again = await shape(empty)
    for part in ("indexes", "constraints", "policies", "functions", "domains", "rows"):
        assert [row for row in again[part] if "migration" not in str(row)] == [
            row for row in made[part] if "migration" not in str(row)
        ]


TABLES: list[type[Table]] = [getattr(module, name) for module in (tables, work_tables) for name in module.__all__]


async def test_piccolos_tables_are_those_of_the_database(database: DatabaseSettings, superuser_url: str) -> None:
    rows = await fetch(superuser_url, "select tablename from pg_tables where schemaname = 'public'")
    ours = {row[0] for row in rows} - {"migration"}
    assert {table._meta.tablename for table in TABLES} == ours


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
async def test_piccolos_columns_are_those_of_the_database(
    table: type[Table], superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICCOLO_CONF", "db.piccolo_conf")
    rows = await fetch(
        superuser_url,
        "select attname, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null), attnotnull"
        " from pg_attribute join pg_type t on t.oid = atttypid"
        " where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum",
        table._meta.tablename,
    )
    assert [(c._meta.name, spoken(c.column_type), not c._meta.null) for c in table._meta.columns] == [
        (name, kind.upper(), required) for name, kind, required in rows
    ]


def spoken(kind: str) -> str:
    """Piccolo's name of a type as Postgres says it."""
    return kind.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")


@pytest.fixture
def superuser_url(services: DevStack, module_database: DatabaseSettings) -> str:
    return databases.superuser_url(services, module_database)


async def test_every_tenant_table_is_guarded_and_every_foreign_key_indexed(superuser_url: str) -> None:
    open_tables = await fetch(
        superuser_url,
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
        " and relname <> 'migration' and not (relrowsecurity and relforcerowsecurity)",
    )
    assert open_tables == []
    keys = await fetch(
        superuser_url,
        "select conrelid::regclass::text as t, conname, conkey from pg_constraint"
        " where contype = 'f' and connamespace = 'public'::regnamespace",
    )
    for table, name, columns in keys:
        led = await fetch(
            superuser_url,
            "select 1 from pg_index where indrelid = $1::text::regclass"
            " and (indkey::int2[])[0:$3] @> $2::int2[] and indpred is null",
            table, list(columns), len(columns) - 1,
        )  # fmt: skip
        assert led, f"{table}.{name} has no index for its deletes"
