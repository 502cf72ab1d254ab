"""Rights that a role of a running process must not have: row-level security holds back ordinary roles only."""

from typing import Final

import asyncpg

from core.errors import StorageUnavailable
from core.secret import Secret
from db.errors import storage_errors
from db.pool import CONNECT_SECONDS, Connection, Pool

__all__ = ["excess_rights", "excess_rights_of", "may_become_redactor"]

_RIGHTS: Final = """
select current_user::text as role, rolsuper, rolbypassrls, exists (
    select from pg_class t join pg_namespace n on n.oid = t.relnamespace
    where t.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and pg_has_role(current_user, t.relowner, 'member')
) as owns
from pg_roles where rolname = current_user
"""


async def excess_rights(database: "Pool | Connection") -> str:
    """What the role may do that no running process may, as the end of a sentence; empty for an ordinary role.

    Raises StorageUnavailable when the database cannot be asked.
    """
    with storage_errors():
        row = await database.fetchrow(_RIGHTS)
    if row is None:
        raise StorageUnavailable("the database did not say which rights the role has")
    # A superuser is a member of every role and above row-level security anyhow.
    if row["rolsuper"]:
        return f"{row['role']} is a superuser"
    reasons = []
    if row["rolbypassrls"]:
        reasons.append("bypasses row-level security")
    if row["owns"]:
        reasons.append("owns tables, or is a member of a role that does")
    return f"{row['role']} {' and '.join(reasons)}" if reasons else ""


_REDACTOR: Final = """
select exists (
    select from pg_roles where rolname = 'taskforge_redactor' and pg_has_role(current_user, oid, 'set')
)
"""


async def may_become_redactor(database: "Pool | Connection") -> bool:
    """Whether the role, the worker's, can take on the one that may redact history.

    Raises StorageUnavailable when the database cannot be asked.
    """
    with storage_errors():
        return bool(await database.fetchval(_REDACTOR))


async def excess_rights_of(url: Secret) -> str:
    """The same over a connection of its own, for who has no pool yet."""
    with storage_errors():
        connection = await asyncpg.connect(url.reveal(), timeout=CONNECT_SECONDS)
    try:
        return await excess_rights(connection)
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
