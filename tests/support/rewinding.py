"""A database taken back in place, as by a disk that was put back: whoever looks at its identity sees no difference."""

import asyncpg

__all__ = ["Rewinding"]

_TABLES = "select tablename from pg_tables where schemaname = 'public' order by tablename"


class Rewinding:
    """Remembers every row of a database for a superuser's connection, and brings them back."""

    def __init__(self, superuser: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._superuser = superuser
        self._tables: list[str] = []

    async def remember(self) -> None:
        self._tables = [row["tablename"] for row in await self._superuser.fetch(_TABLES)]
        await self._superuser.execute("create schema remembered")
        for table in self._tables:
            await self._superuser.execute(f"create table remembered.{table} as table public.{table}")

    async def rewind(self) -> None:
        """All at once. What belongs together is there together again, so that foreign keys need not be checked."""
        async with self._superuser.transaction():
            await self._superuser.execute("set local session_replication_role = replica")
            for table in self._tables:
                await self._superuser.execute(f"delete from public.{table}")
                await self._superuser.execute(
                    f"insert into public.{table} overriding system value select * from remembered.{table}"
                )
