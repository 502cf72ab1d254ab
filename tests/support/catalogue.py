"""The tables of a migrated database, and one row in each of them, made from the catalogue itself."""

from typing import Any, Final
from uuid import UUID

import asyncpg

__all__ = ["EMAIL", "HASH", "NETWORK", "SAMPLES", "TEAM", "VICTIM", "fill", "tables"]

TEAM, VICTIM = UUID("019a0000-0000-7000-8000-0000000000a1"), UUID("019a0000-0000-7000-8000-0000000000b1")
EMAIL, HASH, NETWORK = "victim@example.org", bytes(range(32)), "192.0.2.7"

SAMPLES: Final[dict[str, str]] = {
    "users.id": f"'{VICTIM}'",
    "teams.id": f"'{TEAM}'",
    "user_id": f"'{VICTIM}'",
    "author_id": f"'{VICTIM}'",
    "created_by": f"'{VICTIM}'",
    "invited_by": f"'{VICTIM}'",
    "principal": f"'{VICTIM}'",
    "team_id": f"'{TEAM}'",
    "email": f"'{EMAIL}'",
    "network": f"'{NETWORK}'",
    "role": "'owner'",
    "tasks.status": "'open'",
    "category": "'open'",
    "wip": "'warn'",
    "priority": "'none'",
    "topic": "'taskforge.mail.v1'",
    "prefix": "'tfk_abcd'",
    "scopes": "array['read']",
    "purpose": "'verify-email'",
    "payload": "'{}'",
    "data": "'{}'",
    "headers": "'[]'",
    "key": "'ENG'",
    "salt": "decode(repeat('00', 16), 'hex')",
    "idempotency_keys.status": "200",
    "operations.status": "'running'",
    "webhook_deliveries.status": "'pending'",
    "webhook_subscriptions.format": "'slack'",
    "steps": "'[]'",
    "media_type": "'application/zip'",
    "size": "1",
    "attachments.digest": "repeat('ab', 32)",
    "sha256": f"decode('{HASH.hex()}', 'hex')",
    "checkpoint_things.kind": "'task'",
    "color": "'#ff0000'",
    "actor_kind": "'user'",
    "channel": "'mail'",
    "created_at": "now()",
    "reports.kind": "'board'",
    "reports.since": "now()",
}
"""What stands in columns of this name, or of one table, where the type alone does not say it."""

_OF_TYPE: Final[dict[str, str]] = {
    "uuid": "gen_random_uuid()",
    "text": "'x'",
    "timestamp with time zone": "now() + interval '1 hour'",
    "integer": "1",
    "smallint": "1",
    "bigint": "1",
    "boolean": "true",
    "double precision": "1",
    "inet": f"'{NETWORK}'",
    "json": "'{}'",
    "jsonb": "'{}'",
    "bytea": f"decode('{HASH.hex()}', 'hex')",
    "uuid[]": "'{}'",
    "timestamp with time zone[]": "'{}'",
    "bytea[]": "'{}'",
    "text[]": "'{}'",
}
_COLUMNS: Final = """
select attname, attidentity <> '' or attgenerated <> '' as given, attnotnull or attname = any($2) as wanted,
       format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null) as kind
from pg_attribute join pg_type t on t.oid = atttypid
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum
"""


async def tables(superuser: "asyncpg.Connection[Any]") -> list[str]:
    """Every table of ours, by name."""
    rows = await superuser.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        " and relname <> 'migration' order by 1"
    )
    return [row["relname"] for row in rows]


async def fill(superuser: "asyncpg.Connection[Any]") -> None:
    """One row of the victim's in every table; foreign keys and triggers are not asked.

    Raises what Postgres says of a table whose row needs more than `SAMPLES` has.
    """
    await superuser.execute("set session_replication_role = replica")
    for table in await tables(superuser):
        columns = await superuser.fetch(_COLUMNS, table, [name.rpartition(".")[2] for name in SAMPLES])
        row = {one["attname"]: _value(table, one) for one in columns if one["wanted"] and not one["given"]}
        names, values = ", ".join(row), ", ".join(row.values())
        try:
            await superuser.execute(f"insert into {table} ({names}) values ({values}) on conflict do nothing")
        except asyncpg.PostgresError as error:
            error.add_note(f"tests/support/catalogue.py must say what a row of {table} looks like")
            raise
        assert await superuser.fetchval(f"select count(*) from {table}") == 1, table
    await superuser.execute("set session_replication_role = origin")


def _value(table: str, column: asyncpg.Record) -> str:
    name = column["attname"]
    return SAMPLES.get(f"{table}.{name}") or SAMPLES.get(name) or _OF_TYPE[column["kind"]]
