"""Advisory locks of a session, as leases: they belong to the session and end with it.

A lock has two numbers (https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS): the first names
what is leased, the second is the number of the lease. Presence is a shared lock that every holder takes, with number 0.
"""

from typing import Final

from db.pool import Connection

__all__ = ["count_present", "give_back", "show_presence", "try_to_take"]

_PRESENT: Final = """
select count(*) from pg_locks where locktype = 'advisory' and classid = $1::bigint::oid and objid = 0 and objsubid = 2
and granted and database = (select oid from pg_database where datname = current_database())
"""


async def show_presence(session: Connection, name: int) -> None:
    """Be counted among those who share the leases called `name`, until the session ends."""
    await session.execute("select pg_advisory_lock_shared($1, 0)", name)


async def count_present(session: Connection, name: int) -> int:
    """How many sessions show their presence."""
    present: int = await session.fetchval(_PRESENT, name)
    return present


async def try_to_take(session: Connection, name: int, number: int) -> bool:
    """Take a lease unless another session holds it."""
    taken: bool = await session.fetchval("select pg_try_advisory_lock($1, $2)", name, number)
    return taken


async def give_back(session: Connection, name: int, number: int) -> None:
    """Give one lease of this session back."""
    await session.execute("select pg_advisory_unlock($1, $2)", name, number)
