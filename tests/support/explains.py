"""What Postgres does for the questions of `db/insights`, asked of a team of 10,000 tasks: the pages in docs/queries.

`python -m tests.support.explains` writes the pages anew; a test sees that they have the queries of today, and that no
large table is read from end to end. The plans are those of the API's role, row security included.
"""

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

import asyncpg
from msgspec import Struct

from db.insights import cycle_time, overdue, throughput, workload
from db.insights.overdue import read_overdue
from db.insights.stats import read_stats
from db.migrate import migrate
from db.pool import Pool, open_pools
from db.settings import DatabaseSettings
from db.transaction import Reading
from taskforge.devstack import running_devstack
from tests.support import databases
from tests.support.apache_kafka import broker_kind
from tests.support.source import ROOT

__all__ = ["FOLDER", "LARGE", "QUESTIONS", "Plan", "page", "plans", "seed"]

FOLDER: Final = ROOT / "docs" / "queries"
LARGE: Final = ("tasks", "task_events")
"""Tables that must never be read from end to end."""
EXPLAIN: Final = "explain (analyze, costs off, timing off, summary off, buffers off)"
TEAM, USER = UUID("01920000-0000-7000-8000-000000000001"), UUID("01920000-0000-7000-8000-00000000000a")
NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

# The first team has 10,000 tasks of the last hundred weeks, the others 1,000 each; one task of eight is due.
SEED: Final = """
insert into users (id, email, name, created_at, updated_at)
values ('01920000-0000-7000-8000-00000000000a', 'ada@example.org', 'Ada', now(), now());
insert into teams (id, seq, name, key, created_by, created_at, updated_at, version, top_number)
select ('01920000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1, 'Team', 'ENG',
       '01920000-0000-7000-8000-00000000000a', now(), now(), 1, 10000
from generate_series(1, 20) n;
insert into memberships (team_id, user_id, role, name, joined_at)
select t.id, u.id, 'owner', 'Ada', now() from teams t, users u;
insert into tasks (team_id, id, number, title, description, status, priority, assignee_id, label_ids, due_at, due_on,
                   blocked_by, rank, comment_count, attachment_count, created_by, created_at, updated_at, completed_at,
                   archived_at, version, column_id)
select t.id, md5(t.id::text || n)::uuid, n, 'Task ' || n, repeat('Text. ', 40), s.status, 'none',
       case when n % 7 > 0 then md5('person' || n % 11)::uuid end, '{}',
       case when n % 16 = 3 then made + interval '3 days' end, case when n % 16 = 11 then made::date + 3 end,
       '{}', 'a' || n, 0, 0, t.created_by, made, made + interval '5 days',
       case when s.status = 'done' then made + make_interval(hours => n % 400) end,
       case when n % 5 = 0 then made + interval '90 days' end, n, md5(t.id::text || s.status)::uuid
from teams t
join lateral generate_series(1, case when t.id::text like '%0001' then 10000 else 1000 end) n on true
cross join lateral (select timestamptz '2026-03-01 12:00Z' - make_interval(hours => (n * 5) % 16800) as made) m
cross join lateral (select (array['open', 'in_progress', 'in_review', 'done', 'done', 'cancelled'])[1 + n % 6]
                    as status) s;
"""


class Plan(Struct, frozen=True):
    """One statement of a question, with what Postgres says it does."""

    name: str
    query: str
    lines: Sequence[str]

    def scans(self) -> list[str]:
        """The tables that are read from end to end."""
        return [found[1] for line in self.lines if (found := re.search(r"Seq Scan on (\w+)", line))]


async def _overdue(pool: Pool) -> object:
    return await read_overdue(pool, USER, TEAM, NOW, after=None, limit=51, tasks=5)


async def _stats(pool: Pool) -> object:
    weeks = [NOW - timedelta(weeks=number) for number in range(12, 0, -1)]
    return await read_stats(pool, USER, TEAM, weeks[0], NOW, weeks)


QUESTIONS: Final[Mapping[str, tuple[ModuleType, Callable[[Pool], Awaitable[object]]]]] = {
    "overdue": (overdue, _overdue),
    "throughput": (throughput, _stats),
    "cycle-time": (cycle_time, _stats),
    "workload": (workload, _stats),
}
"""By the name of their page: where the SQL is, and how it is asked."""


async def seed(superuser_url: str) -> None:
    """Fill a migrated database."""
    connection = await asyncpg.connect(superuser_url)
    try:
        await connection.execute(SEED)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


async def plans(pool: Pool, name: str) -> list[Plan]:
    """The plans of a question's own statements, in their order; each is run once, as it is run for a request."""
    module, ask = QUESTIONS[name]
    own = {value: key for key, value in vars(module).items() if key.isupper() and isinstance(value, str)}
    found: list[Plan] = []
    fetch = Reading.fetch

    async def explaining(rows: Reading, query: str, *arguments: Any) -> list[asyncpg.Record]:
        if query in own:
            explained = await fetch(rows, f"{EXPLAIN} {query}", *arguments)
            found.append(Plan(own[query], query.strip(), [row[0] for row in explained]))
        return await fetch(rows, query, *arguments)

    with patch.object(Reading, "fetch", explaining):
        await ask(pool)
    return found


def page(name: str, shown: Sequence[Plan]) -> str:
    """The page of a question."""
    module, _ = QUESTIONS[name]
    about = (module.__doc__ or "").strip()
    origin = f"From `{module.__name__.replace('.', '/')}.py`, explained on a team of 10,000 tasks."
    parts = [f"# {name}\n\n{origin}\n\n{about}\n"]
    for plan in shown:
        lines = "\n".join(plan.lines)
        parts.append(f"## {plan.name.strip('_').lower()}\n\n```sql\n{plan.query}\n```\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


@asynccontextmanager
async def _database() -> AsyncIterator[DatabaseSettings]:
    with tempfile.TemporaryDirectory(prefix="taskforge-explains-") as folder:
        async with running_devstack(Path(folder), default_ports={}, broker=broker_kind()) as services:
            await databases.create(services, "explains")
            url = services.postgres.url_of("explains")
            await migrate(url, passwords=services.secrets.role_passwords)
            await seed(url)
            yield databases.settings_of(services, "explains")


async def _write() -> None:
    async with _database() as settings, open_pools(settings) as pools:
        for name in QUESTIONS:
            (FOLDER / f"{name}.md").write_text(page(name, await plans(pools.api, name)))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_write())
