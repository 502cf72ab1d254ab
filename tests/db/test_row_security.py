"""Row-level security, proven over the catalogue: what holds for every table, so that a new one without it fails."""

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import uuid_utils.compat as uuids

from db.pool import Pools, open_pools
from db.settings import DatabaseSettings
from taskforge.devstack import DevStack
from tests.support import databases
from tests.support.catalogue import EMAIL, HASH, NETWORK, VICTIM, fill, tables

pytestmark = pytest.mark.anyio

API, WRITER, WORKER, OWNER = "taskforge_api", "taskforge_writer", "taskforge_worker", "taskforge_owner"
REDACTOR = "taskforge_redactor"
EVERYBODYS = {"installation"}
"""Tables that are about nobody: which program may run, and which history the database is on."""

# Policies that let the worker or the writer see everything: each of them is a decision.
UNBOUNDED = {
    WRITER: {
        "attachments",
        "columns",
        "comments",
        "epochs_due",
        "former_members",
        "idempotency_keys",
        "installation",
        "invitation_acceptances",
        "labels",
        "memberships",
        "redactions_due",
        "relay_cursors",
        "task_events",
        "tasks",
        "team_epochs",
        "teams",
    },
    REDACTOR: {
        "account_tokens",
        "api_keys",
        "attachments",
        "columns",
        "comments",
        "external_identities",
        "external_sign_ins",
        "former_members",
        "idempotency_keys",
        "invitations",
        "labels",
        "live_tickets",
        "memberships",
        "moved_mornings",
        "notification_mails",
        "notification_preferences",
        "notifications",
        "refresh_tokens",
        "search_documents",
        "sessions",
        "task_events",
        "tasks",
        "team_places",
        "team_seen",
        "teams",
        "users",
        "webhook_attempts",
        "webhook_deliveries",
        "webhook_subscriptions",
    },
    WORKER: {
        "account_tokens",
        "attachments",
        "board_snapshot_drops",
        "board_snapshots",
        "checkpoint_things",
        "checkpoints",
        "columns",
        "comments",
        "dead_letter_replays",
        "former_members",
        "inbox",
        "installation",
        "invitations",
        "labels",
        "memberships",
        "moved_mornings",
        "notification_mails",
        "notification_preferences",
        "notifications",
        "objects",
        "operations",
        "outbox",
        "outbox_sent",
        "projections",
        "redactions_due",
        "relay_cursors",
        "replayed_dead_letters",
        "reports",
        "schedule_marks",
        "schedules",
        "search_documents",
        "task_events",
        "tasks",
        "team_epochs",
        "teams",
        "users",
        "webhook_attempts",
        "webhook_deliveries",
        "webhook_subscriptions",
    },
}
SCOPED = re.compile(r"\bapp_[a-z_]+\(\)|current_setting\('app\.")
"""Who is asking, as conditions say it."""
ADDED_TO = {"outbox"}
"""Tables to which the API adds and of which it sees nothing."""
STRANGER = str(uuids.uuid7())
SETTINGS = ("app.user_id", "app.principal", "app.email", "app.token_hash", "app.network", "app.watch")
NOBODY: dict[str, str] = {}
EMPTY = dict.fromkeys(SETTINGS, "")
FOREIGN = {
    "app.user_id": STRANGER,
    "app.principal": STRANGER,
    "app.email": "stranger@example.org",
    "app.token_hash": bytes(32).hex(),
    "app.network": "198.51.100.1",
    "app.watch": "nothing",
}
OWN = {
    "app.user_id": str(VICTIM),
    "app.principal": str(VICTIM),
    "app.email": EMAIL,
    "app.token_hash": HASH.hex(),
    "app.network": NETWORK,
}


@pytest.fixture(scope="module")
async def superuser(services: DevStack, module_database: DatabaseSettings) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(databases.superuser_url(services, module_database))
    await fill(connection)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def pools(module_database: DatabaseSettings) -> AsyncIterator[Pools]:
    async with open_pools(module_database) as opened:
        yield opened


async def touched(superuser: Any, role: str, settings: dict[str, str], statement: str) -> int:
    """How many rows a statement of the role's finds or changes under these settings; nothing is kept."""
    transaction = superuser.transaction()
    await transaction.start()
    try:
        await superuser.execute(f"set local role {role}")
        for name, value in settings.items():
            await superuser.execute("select set_config($1, $2, true)", name, value)
        tag: str = await superuser.execute(statement)
        return int(tag.rpartition(" ")[2])
    finally:
        await transaction.rollback()


async def statements(superuser: Any, role: str) -> list[tuple[str, str]]:
    """Whatever the role may do to rows that are there, of every table."""
    found = []
    for table in await tables(superuser):
        can = {
            kind: await superuser.fetchval("select has_any_column_privilege($1, $2::text, $3)", role, table, kind)
            for kind in ("select", "update")
        }
        if can["select"]:
            found.append((table, f"select from {table}"))
        if await superuser.fetchval("select has_table_privilege($1, $2::text, 'delete')", role, table):
            found.append((table, f"delete from {table}"))
        if can["update"]:
            column = await superuser.fetchval(
                "select attname from pg_attribute where attrelid = $2::text::regclass and attnum > 0"
                " and has_column_privilege($1, $2::text, attname, 'update') limit 1",
                role,
                table,
            )
            found.append((table, f"update {table} set {column} = {column}"))
    return found


async def test_every_table_has_row_security_and_forces_it_on_its_owner(superuser: Any) -> None:
    unguarded = await superuser.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        " and relname <> 'migration' and not (relrowsecurity and relforcerowsecurity)"
    )
    assert unguarded == []


async def test_the_api_touches_no_row_for_nobody_an_empty_user_or_a_stranger(superuser: Any) -> None:
    asked = await statements(superuser, API)
    assert len(asked) >= 30
    seen = {
        (statement, name)
        for name, settings in (("nobody", NOBODY), ("empty", EMPTY), ("foreign", FOREIGN))
        for table, statement in asked
        if table not in EVERYBODYS and await touched(superuser, API, settings, statement)
    }
    assert not seen


async def test_the_api_sees_the_row_of_its_user_in_every_table_that_it_may_read(superuser: Any) -> None:
    """Otherwise the test above would pass for tables whose rows nobody can see."""
    reads = [(table, statement) for table, statement in await statements(superuser, API) if "select" in statement]
    unseen = {table for table, statement in reads if not await touched(superuser, API, OWN, statement)}
    assert not unseen


async def test_the_user_alone_opens_no_row_of_anybody_else(superuser: Any) -> None:
    """One foreign setting among the victim's own others does not open what the user id guards."""
    own_only = {"app.user_id": STRANGER, "app.principal": "", "app.email": "", "app.token_hash": "", "app.network": ""}
    for table, statement in await statements(superuser, API):
        if table not in EVERYBODYS:
            assert not await touched(superuser, API, own_only, statement), statement


async def test_no_policy_is_for_everybody_and_the_api_has_none_without_a_condition(superuser: Any) -> None:
    policies = await superuser.fetch("select * from pg_policies where schemaname = 'public'")
    known = {API, WRITER, WORKER, REDACTOR, OWNER}
    for policy in policies:
        assert set(policy["roles"]) <= known, policy
        if API in policy["roles"] and policy["tablename"] not in EVERYBODYS:
            for condition in (policy["qual"], policy["with_check"]):
                assert condition is None or SCOPED.search(condition) or policy["tablename"] in ADDED_TO, policy


@pytest.mark.parametrize("role", [WRITER, WORKER, REDACTOR])
async def test_whatever_a_role_sees_without_a_condition_is_on_the_list(superuser: Any, role: str) -> None:
    policies = await superuser.fetch("select * from pg_policies where schemaname = 'public' and $1 = any(roles)", role)
    unbounded = {policy["tablename"] for policy in policies if policy["qual"] == "true"}
    assert unbounded == UNBOUNDED[role]


async def test_settings_of_users_change_nothing_for_the_worker(superuser: Any) -> None:
    for _, statement in await statements(superuser, WORKER):
        found = {await touched(superuser, WORKER, settings, statement) for settings in (NOBODY, EMPTY, FOREIGN, OWN)}
        assert len(found) == 1, statement


async def test_a_new_table_without_policies_is_found(superuser: Any) -> None:
    transaction = superuser.transaction()
    await transaction.start()
    await superuser.execute("create table planted (team_id uuid not null); grant select on planted to taskforge_api")
    await superuser.execute("insert into planted values (gen_random_uuid())")
    with pytest.raises(AssertionError):
        await test_every_table_has_row_security_and_forces_it_on_its_owner(superuser)
    await superuser.execute("alter table planted enable row level security, force row level security")
    await superuser.execute("create policy p on planted to taskforge_api using (true)")
    with pytest.raises(AssertionError):
        await test_no_policy_is_for_everybody_and_the_api_has_none_without_a_condition(superuser)
    await transaction.rollback()
